//! The wasmtime engine, set as measured: pooled slots that are reset by one page-map scan, 4 GiB
//! of reserved addresses per memory so that bounds need no checks, epochs for preemption.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{RuntimeConfig, RuntimeError, limits::MEMORIES};

/// Working set that a slot keeps between calls: larger costs a reset, smaller costs page faults.
const KEEP_MEMORY: usize = 1 << 20;
const KEEP_TABLE: usize = 64 << 10;

/// The pooled engine; where the kernel refuses the reservation, one that allocates on demand.
pub(crate) fn build(config: &RuntimeConfig) -> Result<Engine, RuntimeError> {
    let pooled = InstanceAllocationStrategy::Pooling(pool(config));
    match engine(pooled) {
        Ok(engine) => Ok(engine),
        Err(reason) => {
            tracing::warn!(reason = %reason, "no pool of sandboxes, calls will be slower");
            engine(InstanceAllocationStrategy::OnDemand).map_err(RuntimeError::Engine)
        }
    }
}

fn engine(strategy: InstanceAllocationStrategy) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.allocation_strategy(strategy).epoch_interruption(true).memory_init_cow(true).concurrency_support(false);
    Engine::new(&config)
}

fn pool(config: &RuntimeConfig) -> PoolingAllocationConfig {
    let (calls, each) = (config.max_concurrent, u32::try_from(config.instances).unwrap_or(u32::MAX));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(each))
        .total_tables(calls.saturating_mul(each))
        .total_memories(calls.saturating_mul(MEMORIES))
        .total_stacks(calls)
        .table_elements(config.table_elements)
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        .pagemap_scan(page_map_scan());
    pool
}

/// Linux 6.7 and later; asking for it elsewhere fails the engine.
fn page_map_scan() -> Enabled {
    if PoolingAllocationConfig::is_pagemap_scan_available() { Enabled::Yes } else { Enabled::Auto }
}
