//! Names are locked when logins by a real plugin fail, at both doors, and unlocked by operators.

use serde_json::{Value, json};
use warder_testkit::{Guest, Reply, Result, Warder};

const ALICE: &str = "door/login/alice";

struct House(Warder);

impl House {
    /// Warder with the plugin `doorman` mounted at `door/`, with these options; alice and bob.
    fn open(options: &Value) -> Result<Self> {
        let warder = Warder::dev().argument("--plugin").argument(Guest::Doorman.path()?).start()?;
        let http = warder.http();
        let mount = json!({"plugin": "doorman", "options": options});
        http.put("/api/v1/mounts/door").json(&mount).send()?.expect_status(204)?;
        for name in ["alice", "bob"] {
            let user = format!("/v1/door/users/{name}");
            http.post(&user).json(&json!({"password": "right"})).send()?.expect_status(204)?;
        }
        Ok(Self(warder))
    }

    fn login(&self, path: &str, password: &str) -> Result<Reply> {
        self.0.stranger().post(&format!("/v1/{path}")).json(&json!({"password": password})).send()
    }

    fn locked(&self) -> Result<Value> {
        Ok(self.0.http().get("/api/v1/locked-users").send()?.expect_status(200)?.json()?["locked"].clone())
    }
}

#[test]
fn a_name_is_locked_after_five_bad_logins_until_an_operator_unlocks_it() -> Result {
    let house = House::open(&json!({}))?;
    house.login(ALICE, "right")?.expect_status(204)?;
    let mut words = Vec::new();
    for _ in 0..5 {
        words.push(house.login(ALICE, "wrong")?.expect_status(403)?.text());
    }
    words.push(house.login(ALICE, "right")?.expect_status(403)?.text());
    words.dedup();
    assert_eq!(words.len(), 1, "a name that is locked looks like any bad login: {words:?}");
    house.login("door/login/bob", "right")?.expect_status(204)?;
    let locked = house.locked()?;
    let accessor = locked[0]["accessor"].as_str().unwrap_or_default().to_owned();
    assert_eq!(locked, json!([{"accessor": accessor, "name": "alice"}]));
    let shown = house.0.http().get("/v1/sys/locked-users").send()?.expect_status(200)?.json()?;
    assert_eq!(shown["data"]["total"], 1, "{shown}");
    let unlock = format!("/v1/sys/locked-users/{accessor}/unlock/alice");
    // As `vault write -f` sends it.
    house.0.http().post(&unlock).json(&Value::Null).send()?.expect_status(204)?;
    house.login(ALICE, "right")?.expect_status(204)?;
    assert_eq!(house.locked()?, json!([]));
    let metrics = house.0.stranger().get("/metrics").send()?.text();
    assert!(metrics.contains("\nwarder_login_lockouts_total 1\n"), "{metrics}");
    Ok(())
}

#[test]
fn a_mount_says_how_many_and_for_how_long_and_can_change_it() -> Result {
    let house = House::open(&json!({"lockout_threshold": "2"}))?;
    for _ in 0..2 {
        house.login(ALICE, "wrong")?.expect_status(403)?;
    }
    assert_eq!(house.locked()?.as_array().map(Vec::len), Some(1));
    let tune = json!({"user_lockout_config": {"lockout_disable": true}});
    house.0.http().post("/v1/sys/mounts/door/tune").json(&tune).send()?.expect_status(204)?;
    for _ in 0..9 {
        house.login("door/login/bob", "wrong")?.expect_status(403)?;
    }
    house.login("door/login/bob", "right")?.expect_status(204)?;
    Ok(())
}
