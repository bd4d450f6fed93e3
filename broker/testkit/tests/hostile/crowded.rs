//! A mount whose plugin takes all the time that it is given is full soon. It refuses what is too
//! much at once, and nobody beside it notices.

use std::thread;

use serde_json::json;
use warder_testkit::{Result, Suite};

use crate::{
    deed::DEEDS,
    stage::{Door, Stage},
};

const CROWD: usize = 24;
const CALLS: usize = 2;
const QUEUE: usize = 2;

#[test]
fn a_full_mount_refuses_what_is_too_much_and_its_neighbour_serves() -> Result {
    let suite = Suite::new("hostile", "crowded::a_full_mount_refuses_what_is_too_much_and_its_neighbour_serves", 1);
    let stage = Stage::set()?;
    let options = json!({"options": {"max_calls": CALLS.to_string(), "max_queue": QUEUE.to_string()}});
    stage.http.post("/v1/sys/mounts/bad/tune").json(&options).send()?.expect_status(204)?;
    let deed = *DEEDS.iter().find(|deed| deed.path == "loop").expect("it loops");
    for round in 0..suite.pick(1, 10) {
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| {
                let http = stage.warder.http();
                thread::spawn(move || Door::Native.ask(&http, &deed))
            })
            .collect();
        let mut served = 0;
        while crowd.iter().any(|one| !one.is_finished()) {
            let target = format!("/api/v1/secrets/beside/{round}");
            let written = stage.http.put(&target).json(&json!({"n": served})).send()?;
            assert!(matches!(written.status, 200 | 201), "{} {}", written.status, written.text());
            stage.http.get("/api/v1/secrets/neighbour").send()?.expect_status(200)?;
            served += 1;
        }
        assert!(served > 0, "nobody was served beside the crowd");
        let (mut refused, mut looped) = (0, 0);
        for one in crowd {
            let reply = one.join().expect("a client")?;
            let answer = reply.json()?;
            match reply.status {
                503 => {
                    assert_eq!((&answer["code"], &answer["mount"]), (&json!("overloaded"), &json!("bad/")), "{answer}");
                    assert_eq!((reply.header("retry-after"), &answer["retry_after_seconds"]), (Some("1"), &json!(1)));
                    refused += 1;
                }
                status => {
                    assert_eq!((status, &answer["code"]), (504, &json!("deadline_exceeded")), "{answer}");
                    looped += 1;
                }
            }
        }
        assert!(refused > 0 && looped >= CALLS, "{refused} refused, {looped} looped");
    }
    stage.serves()
}
