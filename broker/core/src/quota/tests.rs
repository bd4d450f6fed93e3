//! Limits and clients, against a clock that is set by hand.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    testing::MemoryStorage,
};

const SECOND: Duration = Duration::from_secs(1);

struct World {
    clock: Arc<ManualClock>,
    storage: Arc<MemoryStorage>,
    quotas: Quotas,
}

fn world() -> World {
    let (clock, storage) = (Arc::new(ManualClock::new(Timestamp(1_795_318_610_123))), MemoryStorage::new());
    let quotas = Quotas::new(storage.clone(), clock.clone());
    World { clock, storage, quotas }
}

impl World {
    async fn set(&self, name: &str, path: &str, rate: f64) -> Result<()> {
        self.quotas.put(RateLimit::new(name, path, rate, None, None, GroupBy::Ip)?).await
    }

    /// How many of `count` requests at this moment are let through.
    async fn admitted(&self, path: &str, address: [u8; 4], count: usize) -> usize {
        let mut admitted = 0;
        for _ in 0..count {
            admitted += usize::from(self.ask(path, address, None).await.is_ok());
        }
        admitted
    }

    /// One request, as the broker counts it.
    async fn ask(&self, path: &str, address: impl Into<IpAddr>, token: Option<&str>) -> Result<()> {
        let address = Some(address.into());
        let counted = self.quotas.admit(path, address).await?;
        self.quotas.admit_token(path, address, token.map(str::as_bytes), counted).await
    }

    async fn grouped(&self, name: &str, rate: f64, group_by: GroupBy) {
        self.quotas.put(RateLimit::new(name, "", rate, None, None, group_by).unwrap()).await.unwrap();
    }
}

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

#[tokio::test]
async fn an_interval_has_its_rate_at_once_and_then_as_fast_as_it_comes_back() {
    let world = world();
    world.set("all", "", 5.0).await.unwrap();
    assert_eq!(world.admitted("secret/data/a", A, 9).await, 5);
    assert_eq!(world.admitted("secret/data/a", B, 9).await, 5, "another client");
    world.clock.advance(Duration::from_millis(400));
    assert_eq!(world.admitted("secret/data/a", A, 9).await, 2);
    world.clock.advance(Duration::from_secs(100));
    assert_eq!(world.admitted("secret/data/a", A, 9).await, 5, "what was not used is not saved");
    let error = world.ask("secret/data/a", A, None).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after), (ErrorKind::RateLimited, Some(Duration::from_millis(200))));
    assert_eq!(error.detail, "request path \"secret/data/a\": rate limit quota \"all\" exceeded");
}

#[tokio::test]
async fn slow_rates_let_one_request_through() {
    let world = world();
    world.set("slow", "", 0.5).await.unwrap();
    assert_eq!(world.admitted("secret/data/a", A, 3).await, 1);
    world.clock.advance(SECOND);
    assert_eq!(world.admitted("secret/data/a", A, 3).await, 0);
    world.clock.advance(SECOND);
    assert_eq!(world.admitted("secret/data/a", A, 3).await, 1);
}

#[tokio::test]
async fn the_longest_path_decides() {
    let world = world();
    for (name, path, rate) in [
        ("all", "", 1.0),
        ("mount", "secret/", 2.0),
        ("prefix", "secret/data/app*", 3.0),
        ("one", "secret/data/app/x", 4.0),
    ] {
        world.set(name, path, rate).await.unwrap();
    }
    for (path, expected) in
        [("other/a", 1), ("secret/data/a", 2), ("secret/data/app/y", 3), ("secret/data/app/x", 4), ("sys/mounts", 0)]
    {
        assert_eq!(world.admitted(path, A, 9).await, expected, "{path}");
    }
    assert_eq!(world.admitted("sys/quotas/rate-limit/all", A, 9).await, 9, "or it could not be lifted");
}

#[tokio::test]
async fn clients_are_addresses_tokens_or_everybody() {
    let world = world();
    for (group_by, expected) in
        [(GroupBy::Ip, [1, 1, 0, 0]), (GroupBy::None, [1, 0, 0, 0]), (GroupBy::TokenThenIp, [1, 0, 1, 1])]
    {
        let name = format!("{group_by:?}");
        world.quotas.put(RateLimit::new(&name, "", 1.0, None, None, group_by).unwrap()).await.unwrap();
        let mut got = [0; 4];
        let asked = [(A, Some("one")), (B, Some("one")), (A, Some("two")), (A, None)];
        for (at, (address, token)) in asked.into_iter().enumerate() {
            got[at] = usize::from(world.ask("secret/data/a", address, token).await.is_ok());
        }
        assert_eq!(got, expected, "{name}");
        world.quotas.delete(&name).await.unwrap();
    }
}

#[tokio::test]
async fn who_meets_a_limit_with_a_block_waits_it_out() {
    let world = world();
    let limit = RateLimit::new("block", "", 2.0, None, Some(SECOND * 10), GroupBy::Ip).unwrap();
    world.quotas.put(limit).await.unwrap();
    assert_eq!(world.admitted("other/a", A, 3).await, 2);
    world.clock.advance(SECOND * 9);
    let error = world.ask("other/a", A, None).await.unwrap_err();
    assert_eq!(error.retry_after, Some(SECOND));
    world.clock.advance(SECOND);
    assert_eq!(world.admitted("other/a", A, 3).await, 2);
}

#[tokio::test]
async fn a_changed_limit_holds_for_the_next_request_and_a_lifted_one_for_none() {
    let world = world();
    world.set("all", "", 1.0).await.unwrap();
    assert_eq!(world.admitted("other/a", A, 9).await, 1);
    world.set("all", "", 3.0).await.unwrap();
    assert_eq!(world.admitted("other/a", B, 9).await, 3);
    assert_eq!(world.quotas.names().await.unwrap(), ["all"]);
    world.quotas.delete("all").await.unwrap();
    world.quotas.delete("all").await.unwrap();
    assert_eq!(world.admitted("other/a", A, 9).await, 9);
    assert!(world.storage.keys().iter().all(|key| !key.starts_with(PREFIX)));
}

#[tokio::test]
async fn more_clients_than_are_remembered_free_nobody_who_is_over_the_limit() {
    let world = world();
    world.set("all", "", 1.0).await.unwrap();
    assert_eq!(world.admitted("other/a", A, 2).await, 1);
    for n in 0..100_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0b00_0000 + n);
        _ = world.ask("other/a", address, None).await;
    }
    assert!(world.quotas.usage().clients <= 65_536, "{:?}", world.quotas.usage());
    world.clock.advance(Duration::from_millis(999));
    // Forgotten at most by chance: it was the first of those that have used up as much.
    assert!(world.admitted("other/a", A, 2).await <= 1);
    world.clock.advance(SECOND * 2);
    assert_eq!(world.admitted("other/a", A, 2).await, 1);
}

#[tokio::test]
async fn limits_that_count_differently_hold_beside_each_other() {
    let world = world();
    world.grouped("all", 5.0, GroupBy::None).await;
    world.grouped("address", 3.0, GroupBy::Ip).await;
    world.grouped("token", 2.0, GroupBy::TokenThenIp).await;
    let mut got = Vec::new();
    for (address, token) in
        [(A, "one"), (A, "one"), (A, "one"), (A, "two"), (A, "two"), (B, "two"), (B, "three"), (B, "four")]
    {
        got.push(world.ask("secret/data/a", address, Some(token)).await.is_ok());
    }
    // Token, then address, then everybody; what was refused by one used up no other.
    assert_eq!(got, [true, true, false, true, false, true, true, false]);
    assert_eq!(world.quotas.usage().refused, 3);
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_let_through() {
    let world = world();
    world.grouped("address", 7.0, GroupBy::Ip).await;
    world.quotas.put(RateLimit::new("all", "", 3.0, Some(SECOND * 2), None, GroupBy::None).unwrap()).await.unwrap();
    let mut waited = 0;
    for _ in 0..50 {
        if let Err(error) = world.ask("secret/data/a", A, None).await {
            waited += 1;
            world.clock.advance(SECOND * u32::try_from(error.retry_seconds().unwrap()).unwrap());
            world.ask("secret/data/a", A, None).await.unwrap();
        }
    }
    assert!(waited > 10, "{waited}");
}

#[tokio::test]
async fn a_network_of_version_6_is_one_client() {
    let world = world();
    world.set("all", "", 1.0).await.unwrap();
    let mut got = Vec::new();
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"] {
        got.push(world.ask("other/a", address.parse::<IpAddr>().unwrap(), None).await.is_ok());
    }
    assert_eq!(got, [true, false, true]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let world = world();
    world.set("one", "secret/", 1.0).await.unwrap();
    let field = |result: Result<()>| result.unwrap_err().field.unwrap_or_default();
    assert_eq!(field(world.set("two", "secret/", 1.0).await), "path");
    assert_eq!(field(world.set("a/b", "", 1.0).await), "name");
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10] {
        assert_eq!(field(world.set("two", "", rate).await), "rate", "{rate}");
    }
    for (interval, block, expected) in [
        (Some(Duration::ZERO), None, "interval"),
        (Some(SECOND * 90_000), None, "interval"),
        (None, Some(SECOND * 90_000), "block_interval"),
    ] {
        let limit = RateLimit::new("two", "", 1.0, interval, block, GroupBy::Ip);
        assert_eq!(field(limit.map(|_| ())), expected);
    }
}
