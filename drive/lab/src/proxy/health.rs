//! Whether a target is well: it is asked again and again.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::target::Target;
use crate::balancer::spec::Health;
use crate::units::format_duration;

/// How often a target is asked that was never healthy: somebody waits for it.
const FIRST_INTERVAL: Duration = Duration::from_millis(25);

/// Asks a target for as long as it is one.
pub(super) async fn watch(target: Arc<Target>) {
    let mut was_healthy = false;
    let (mut good, mut bad) = (0, 0);
    loop {
        let health = target.health();
        let answer = timeout(health.timeout, ask(target.address, &health)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {}", format_duration(health.timeout))));
        target.checked(answer.is_ok());
        let before = target.is_healthy();
        (good, bad) = if answer.is_ok() { (good + 1, 0) } else { (0, bad + 1) };
        // A healthy target that misses one check may only be busy.
        let now = if before { bad < health.fall } else { good >= health.rise };
        let (Ok(text) | Err(text)) = answer;
        if now != before {
            let state = if now { "healthy" } else { "not healthy" };
            eprintln!("{} is {state}: {text}", target.address);
        }
        target.observed(now, text);
        was_healthy |= now;
        let pause = if was_healthy { health.interval } else { health.interval.min(FIRST_INTERVAL) };
        tokio::select! {
            () = sleep(pause) => {}
            () = target.is_cut() => return,
        }
    }
}

/// Asks a target for its health: what it answered, as good or bad news.
async fn ask(address: SocketAddr, health: &Health) -> Result<String, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let Some(path) = &health.path else { return Ok("it accepts connections".to_owned()) };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header("host", address.to_string()).header("user-agent", "andon-balancer");
    let request = request.header("connection", "close").body(Empty::<Bytes>::new());
    let status = match request {
        Ok(request) => {
            sender.send_request(request).await.map(|response| response.status()).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    connection.abort();
    judge(path, &health.statuses, status?.as_u16())
}

fn judge(path: &str, statuses: &RangeInclusive<u16>, status: u16) -> Result<String, String> {
    let text = format!("GET {path} was answered with {status}");
    if statuses.contains(&status) { Ok(text) } else { Err(text) }
}
