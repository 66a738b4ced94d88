//! All collectors of an exporter: which there are, and how one set of them follows another.

use super::collector::{Collector, CollectorHandle, Shared};
use super::layouts::TemplateIds;
use super::{Export, config};
use crate::ledger::Ledger;
use crate::record::UnixTime;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The collectors that run, and their tasks.
pub struct Collectors {
    running: Vec<CollectorHandle>,
    tasks: JoinSet<()>,
    templates: TemplateIds,
    system_init: UnixTime,
    told: watch::Receiver<Arc<Shared>>,
}

impl Collectors {
    /// None yet. `system_init` is when this host was booted; `told` is what all collectors are told
    /// beside records.
    pub fn new(system_init: UnixTime, told: watch::Receiver<Arc<Shared>>) -> Self {
        Self {
            running: Vec::new(),
            tasks: JoinSet::new(),
            templates: TemplateIds::default(),
            system_init,
            told,
        }
    }

    /// Goes over to these collectors: those that stay the same go on undisturbed, those that are
    /// gone send what they have and end. Must run in a tokio runtime.
    ///
    /// One that has changed is a new one beside the old, which has records left to send. The two
    /// share no Template ID of another meaning, and no port: each waits until it can have it.
    ///
    /// `domain` is the observation domain of those that have none of their own.
    pub fn set(
        &mut self,
        collectors: &[config::Collector],
        domain: u32,
        ledger: &Arc<Ledger>,
    ) -> Result<Export, ipfix::LayoutError> {
        let mut running = Vec::new();
        let mut new = Vec::new();
        for collector in collectors {
            let same = self
                .running
                .iter()
                .find(|handle| handle.is_for(collector, domain));
            if let Some(handle) = same {
                running.push(handle.clone());
                continue;
            }
            let (mut handle, mut task) = Collector::new(
                collector.clone(),
                domain,
                self.system_init,
                self.told.clone(),
                &mut self.templates,
            )?;
            for old in &self.running {
                if task.succeed(&mut handle, old) {
                    break;
                }
            }
            running.push(handle);
            new.push(task);
        }
        for task in new {
            self.tasks.spawn(task.run());
        }
        self.running = running;
        Ok(Export::new(ledger.clone(), self.running.clone()))
    }

    /// Those that run.
    pub fn running(&self) -> &[CollectorHandle] {
        &self.running
    }

    /// Lets them send what is queued, as long as `patience` lasts. Every other handle has to be gone
    /// by then, every [`Export`] too: a queue ends with its last.
    ///
    /// Whether they all came to their end.
    pub async fn end(self, patience: Duration) -> bool {
        let Self {
            running, mut tasks, ..
        } = self;
        drop(running);
        let all = async { while tasks.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(patience, all).await.is_ok();
        if !ended {
            tasks.shutdown().await;
        }
        ended
    }
}
