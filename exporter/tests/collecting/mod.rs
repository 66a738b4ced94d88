//! The built-in collector at work in a thread of its own.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use ebpfix::cli::OutputFormat;
use ebpfix::collector::{Collector, Ending, Output, Summary};

/// What is printed.
#[derive(Clone, Default)]
pub struct Shared(pub Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A collector that runs.
pub struct Running {
    pub address: SocketAddr,
    pub printed: Shared,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: JoinHandle<Ending>,
}

impl Running {
    pub fn start(collector: Collector, format: OutputFormat) -> Self {
        let address = collector.local_addr();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let printed = Shared::default();
        let output = Output::new(format, printed.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let shutdown = async { drop(stopped.await) };
            runtime.block_on(collector.run(output, shutdown)).unwrap()
        });
        Self {
            address,
            printed,
            stop,
            thread,
        }
    }

    /// What it printed and counted.
    pub fn stop(self) -> (String, Summary) {
        drop(self.stop);
        let Ending::Shutdown(summary) = self.thread.join().unwrap() else {
            panic!("the output does not close");
        };
        let printed = self.printed.0.lock().unwrap().clone();
        (String::from_utf8(printed).unwrap(), summary)
    }
}
