//! What is left of secrets in the memory of a sealed broker.

use warder_testkit::{Result, Suite};

use crate::{
    broker::{Broker, Over},
    marks::Marks,
    places,
    search::{Search, nothing},
    walk::Walk,
};

#[test]
fn a_sealed_broker_has_no_secret_in_memory() -> Result {
    let suite = Suite::new("canary", "sealed::a_sealed_broker_has_no_secret_in_memory", 20_261_123);
    let mut marks = Marks::new(suite.random());
    let mut answers = Vec::new();
    let broker = Broker::start(Over::Plain)?;
    let keys = broker.initialize(&mut marks)?;
    Walk::new(&broker, &keys, "plain", "first", &mut marks, &mut answers).everywhere()?;
    marks.given("the root key", &keys.root());
    for (at, key) in broker.opened(&keys)?.terms.iter().enumerate() {
        marks.given(&format!("the key of term {}", at + 1), key);
    }
    let search = Search::new(marks.all())?;
    let open = places::memory(&search, broker.pid())?;
    for kind in ["the root key", "the key of term 1"] {
        assert!(open.iter().any(|find| find.kind == kind), "an open broker has {kind}, but it was not found");
    }
    let root = broker.stranger().with_token(&keys.root_token);
    root.post("/api/v1/sys/seal").send()?.expect_status(204)?;
    drop(root);
    nothing(&places::memory(&search, broker.pid())?)
}
