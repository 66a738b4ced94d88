//! `ebpfix flows`.

use super::Failure;
use crate::cli::{self, FlowsArgs};
use crate::daemon::control::{Answers, Question};
use crate::flows::rates::Report;
use crate::flows::{Answer, Query, show};
use crate::ledger::Count;
use crate::record::UnixTime;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt::Write as _;
use std::io::{self, Write as _};

type Row = Box<RawValue>;

/// Asks the exporter that runs, once or on and on, and prints the answers.
pub fn run(args: &FlowsArgs) -> Result<(), Failure> {
    let query = Query {
        filter: cli::filter(&args.filter).map_err(Failure::Failed)?,
        by: args.by.clone(),
        sort: args.sort,
        reverse: args.reverse,
        limit: args.limit(),
    };
    query.check().map_err(Failure::Failed)?;
    let daemon = super::daemon_of(&args.config)?;
    if args.follow {
        let question = Question::Watch {
            query,
            interval_ms: u64::try_from(args.interval.as_millis()).unwrap_or(u64::MAX),
        };
        return super::runtime()?.block_on(async {
            let mut answers = Answers::ask(&daemon.control_socket(), question)
                .await
                .map_err(Failure::Failed)?;
            let mut first = true;
            loop {
                let report: Report<Row> = answers.next().await.map_err(Failure::Failed)?;
                if !write(&report_text(args, &report, first)?)? {
                    return Ok(());
                }
                first = false;
            }
        });
    }
    let answer: Answer<Row> = super::ask(&daemon, Question::Flows { query })?;
    super::print(&answer_text(args, &answer)?)?;
    if answer.truncated && (args.json || args.csv) {
        super::say(&format_args!(
            "ebpfix: these are {} of {} rows (--top N)",
            answer.rows.len(),
            answer.rows_in_all
        ));
    }
    Ok(())
}

/// Writes an answer at once; returns whether anybody reads on.
fn write(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Failed(format!("cannot write to stdout: {error}"))),
    }
}

fn values(rows: &[Row]) -> Result<Vec<Value>, Failure> {
    rows.iter()
        .map(|row| serde_json::from_str(row.get()))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Failed(format!("the answer makes no sense: {error}")))
}

fn answer_text(args: &FlowsArgs, answer: &Answer<Row>) -> Result<String, Failure> {
    let mut text = String::new();
    if args.json {
        for row in &answer.rows {
            let _ = writeln!(text, "{}", row.get());
        }
    } else if args.csv {
        text = show::csv_header(&args.by, false);
        for row in values(&answer.rows)? {
            text += &show::csv_line(&args.by, &row, None);
        }
    } else {
        let width = super::terminal_width();
        text = show::table(&args.by, &values(&answer.rows)?, None, width);
        let _ = writeln!(text, "{}", summary(answer));
    }
    Ok(text)
}

/// An interval's rows; what they counted stands beside when and in how many seconds.
fn report_text(args: &FlowsArgs, report: &Report<Row>, first: bool) -> Result<String, Failure> {
    let Report {
        time,
        seconds,
        missed,
        answer,
    } = report;
    let mut text = String::new();
    if args.json {
        for row in &answer.rows {
            // An object, and not an empty one.
            let rest = row.get().strip_prefix('{').unwrap_or_default();
            let _ = writeln!(text, r#"{{"time":"{time}","seconds":{seconds:.3},{rest}"#);
        }
    } else if args.csv {
        if first {
            let _ = write!(text, "time,seconds,{}", show::csv_header(&args.by, true));
        }
        for row in values(&answer.rows)? {
            let line = show::csv_line(&args.by, &row, Some(*seconds));
            let _ = write!(text, "{time},{seconds:.3},{line}");
        }
    } else {
        let gap = if first { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}", heading(*time, *seconds, *missed, answer));
        let width = super::terminal_width();
        text += &show::table(&args.by, &values(&answer.rows)?, Some(*seconds), width);
    }
    Ok(text)
}

fn summary(answer: &Answer<Row>) -> String {
    let Answer {
        seen,
        matched,
        duplicates,
        rows_in_all,
        truncated,
        rows,
    } = answer;
    let mut text = format!(
        "\n{} of {} flows: {} packets, {} bytes",
        matched.flows, seen.flows, matched.packets, matched.bytes
    );
    if duplicates.flows > 0 {
        let _ = write!(text, "; not in this sum: {} duplicates", duplicates.flows);
    }
    if *truncated {
        let _ = write!(
            text,
            "; shown are {} of {rows_in_all} rows (--top N)",
            rows.len()
        );
    }
    text
}

fn heading(time: UnixTime, seconds: f64, missed: Count, answer: &Answer<Row>) -> String {
    let time = time.to_string().replace('T', " ").replace('Z', "");
    let rate = |count: u64, factor: f64| {
        // A rate has no need of more digits than a float has.
        #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
        let count = count as f64;
        show::short(count * factor / seconds.max(f64::MIN_POSITIVE))
    };
    let mut text = format!(
        "{time} {} flows, {} packets/s, {} bit/s",
        answer.matched.flows,
        rate(answer.matched.packets, 1.0),
        rate(answer.matched.bytes, 8.0)
    );
    if !missed.is_zero() {
        let _ = write!(text, "; not told apart: {} packets", missed.packets);
    }
    text
}
