//! Times, as text in the form of RFC 3339.

use andon_value::{Type, Value};
use jiff::civil::{DateTime, Weekday};
use jiff::{SignedDuration, Timestamp};

use super::{Fault, Function, foresight, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::{Number, String as S};
    vec![
        row("formatdate", S, format_date, "A time in a form of one's own, such as `DD MMM YYYY`.")
            .takes("format", S)
            .takes("time", S),
        row("plantimestamp", S, |call| Ok(written(call.inputs.planned())), "The time of the plan."),
        row("timeadd", S, time_add, "A time some duration later, such as `1h30m`.")
            .takes("timestamp", S)
            .takes("duration", S),
        row("timecmp", Number, time_compare, "-1 where the first of two times is earlier, 1 where it is later, or 0.")
            .foresees(foresight::sign)
            .takes("timestamp_a", S)
            .takes("timestamp_b", S),
        row("timestamp", S, |call| Ok(written(call.inputs.now())), "The time of the apply."),
    ]
}

/// Seconds since 1970 as a time in UTC; unknown where there is none yet.
fn written(seconds: Option<i64>) -> Value {
    match seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        Some(at) => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
        None => Value::unknown(Type::String),
    }
}

/// A time: what a clock on the wall says, and how far it is ahead of UTC.
struct Time {
    wall: DateTime,
    ahead: SignedDuration,
}

impl Time {
    fn argument(call: &Call<'_>, at: usize) -> Result<Time, Fault> {
        Time::parse(call.text(at)).ok_or_else(|| {
            Fault::at(at, "a time such as \"2006-01-02T15:04:05Z\" is required")
                .help("Times are written as RFC 3339 has it, with a `T` in the middle and an offset or `Z` at the end.")
        })
    }

    fn parse(text: &str) -> Option<Time> {
        let digits = |from: usize, to: usize| -> Option<i64> {
            let part = text.get(from..to)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
        };
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if separators.iter().any(|(at, wanted)| text.as_bytes().get(*at) != Some(wanted)) {
            return None;
        }
        let small = |from: usize| digits(from, from + 2).and_then(|number| i8::try_from(number).ok());
        let mut rest = text.get(19..)?;
        let mut nanoseconds = 0;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            let end = fraction.find(|character: char| !character.is_ascii_digit()).unwrap_or(fraction.len());
            let (fraction, after) = fraction.split_at(end);
            rest = after;
            nanoseconds = format!("{fraction:0<9}").get(..9).filter(|_| end > 0)?.parse().ok()?;
        }
        let ahead = match (rest, rest.as_bytes()) {
            ("Z", _) => 0,
            (_, [sign @ (b'+' | b'-'), _, _, b':', _, _]) => {
                let two = |from: usize| -> Option<i64> {
                    let part = rest.get(from..from + 2)?;
                    part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
                };
                let (hours, minutes) = (two(1)?, two(4)?);
                if hours > 24 || minutes > 60 {
                    return None;
                }
                (hours * 60 + minutes) * if *sign == b'-' { -60 } else { 60 }
            }
            _ => return None,
        };
        let (year, month, day) = (i16::try_from(digits(0, 4)?).ok()?, small(5)?, small(8)?);
        let (hour, minute, second) = (small(11)?, small(14)?, small(17)?);
        let in_range = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        let day = jiff::civil::Date::new(year, month, day).ok()?;
        let wall = day.to_datetime(jiff::civil::Time::new(hour, minute, second, nanoseconds).ok()?);
        in_range.then_some(Time { wall, ahead: SignedDuration::from_secs(ahead) })
    }

    /// What a clock in UTC says.
    fn in_utc(&self) -> Option<DateTime> {
        self.wall.checked_sub(self.ahead).ok()
    }

    fn offset(&self, colon: &str) -> String {
        let minutes = self.ahead.as_mins();
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}{colon}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

fn time_compare(call: &Call<'_>) -> Result<Value, Fault> {
    let (one, other) = (Time::argument(call, 0)?.in_utc(), Time::argument(call, 1)?.in_utc());
    Ok(Value::from(one.cmp(&other) as i64))
}

fn time_add(call: &Call<'_>) -> Result<Value, Fault> {
    let time = Time::argument(call, 0)?;
    let duration = duration(call.text(1)).ok_or_else(|| {
        Fault::at(1, "a duration such as \"1h30m\" is required").help("The units are h, m, s, ms, us and ns.")
    })?;
    let later = time.wall.checked_add(duration).map_err(|_| Fault::new("the result is out of range"))?;
    let zone = if time.ahead.is_zero() { "Z".to_owned() } else { time.offset(":") };
    Ok(format!("{}{zone}", later.strftime("%Y-%m-%dT%H:%M:%S")).into())
}

/// A duration: numbers, each with its unit, after an optional sign.
fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() || total == 0 && text.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let end = after.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        rest = next;
        let unit: i128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let fraction = fraction.get(..fraction.len().min(18)).unwrap_or_default();
        let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?.checked_add(part * unit / scale)?;
    }
    // As long as fits into 64 bits of nanoseconds.
    let nanoseconds = i64::try_from(if negative { -total } else { total }).ok()?;
    (!text.is_empty()).then_some(SignedDuration::from_nanos(nanoseconds))
}

fn format_date(call: &Call<'_>) -> Result<Value, Fault> {
    let time = Time::argument(call, 1)?;
    let mut out = String::new();
    let mut rest = call.text(0);
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            // Two quotes with nothing between them are one.
            rest = match quoted.strip_prefix('\'') {
                Some(after) => {
                    out.push('\'');
                    after
                }
                None => literal(quoted, &mut out)?,
            };
            continue;
        }
        let end = rest.find(|character: char| character != first).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        if first.is_ascii_alphabetic() {
            out.push_str(&part(run, &time).ok_or_else(|| {
                Fault::at(0, format!("\"{run}\" is no part of a time"))
                    .help("Text that is to stay as it is stands in single quotes.")
            })?);
        } else {
            out.push_str(run);
        }
    }
    Ok(out.into())
}

/// Takes text in single quotes, of which two are one, and gives what follows it.
fn literal<'t>(text: &'t str, out: &mut String) -> Result<&'t str, Fault> {
    let mut rest = text;
    loop {
        let (before, after) =
            rest.split_once('\'').ok_or_else(|| Fault::at(0, "a single quote in it is not closed"))?;
        out.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                out.push('\'');
                rest = after;
            }
            None => return Ok(after),
        }
    }
}

fn part(run: &str, time: &Time) -> Option<String> {
    let wall = &time.wall;
    let (hour, afternoon) = (wall.hour(), wall.hour() >= 12);
    let half = if hour % 12 == 0 { 12 } else { hour % 12 };
    Some(match run {
        "YYYY" => format!("{:04}", wall.year()),
        "YY" => format!("{:02}", wall.year().rem_euclid(100)),
        "MMMM" => month(wall.month()).to_owned(),
        "MMM" => month(wall.month()).get(..3)?.to_owned(),
        "MM" => format!("{:02}", wall.month()),
        "M" => wall.month().to_string(),
        "DD" => format!("{:02}", wall.day()),
        "D" => wall.day().to_string(),
        "EEEE" => weekday(wall.weekday()).to_owned(),
        "EEE" => weekday(wall.weekday()).get(..3)?.to_owned(),
        "hh" => format!("{hour:02}"),
        "h" => hour.to_string(),
        "HH" => format!("{half:02}"),
        "H" => half.to_string(),
        "AA" => if afternoon { "PM" } else { "AM" }.to_owned(),
        "aa" => if afternoon { "pm" } else { "am" }.to_owned(),
        "mm" => format!("{:02}", wall.minute()),
        "m" => wall.minute().to_string(),
        "ss" => format!("{:02}", wall.second()),
        "s" => wall.second().to_string(),
        "ZZZZZ" => time.offset(":"),
        "ZZZZ" => time.offset(""),
        "ZZZ" if time.ahead.is_zero() => "UTC".to_owned(),
        "ZZZ" => time.offset(""),
        "Z" if time.ahead.is_zero() => "Z".to_owned(),
        "Z" => time.offset(":"),
        _ => return None,
    })
}

fn month(number: i8) -> &'static str {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    usize::try_from(number - 1).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or_default()
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}
