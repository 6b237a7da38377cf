//! View models as terminal text and JSON. Pure: width, colour and the clock come in as arguments, text goes out.

mod built_in_schema;
mod diagnostics;
mod diagnostics_json;
mod difference;
pub mod docs;
mod ended;
mod events;
mod expression;
mod fold;
pub mod graph;
mod hosts;
mod look;
mod paint;
mod plan;
mod plan_json;
mod progress;
mod report;
pub mod terraform;

pub use built_in_schema::built_in_schema;
pub use diagnostics::diagnostics;
pub use diagnostics_json::diagnostics_json;
pub use ended::{done, not_done};
pub use events::{entry_json, event_json, event_line, status_word};
pub use expression::{expression, type_lines};
pub use fold::inline;
pub use hosts::{HostOutcome, host_json, hosts, hosts_json, hosts_summary};
pub use look::Look;
pub use paint::Paint;
pub use plan::echoed::without_echoes;
pub use plan::{drift, plan, summary};
pub use plan_json::{deferred_json, plan_json, sensitive_paths, value_json};
pub use progress::{Board, Line, Still, duration};
pub use report::{check_line, report, report_json};
