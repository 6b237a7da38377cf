//! `format` and `formatlist`: text made by a pattern of verbs
//! (<https://developer.hashicorp.com/terraform/language/functions/format>).

use andon_value::{Number, Type, Value, convert, to_json};
use unicode_segmentation::UnicodeSegmentation;

use super::{Fault, Function, foresight, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::{Dynamic, String as S};
    vec![
        row("format", S, format_one, "Text made by a pattern, such as `%s` or `%05.1f`, of the other arguments.")
            .takes("format", S)
            .takes_rest("args", Dynamic)
            .nulls()
            .foresees(foresight::format),
        row(
            "formatlist",
            Type::list(S),
            format_list,
            "Texts made by a pattern of each element of the other arguments.",
        )
        .takes("format", S)
        .takes_rest("args", Dynamic)
        .nulls()
        .foresees(foresight::format_list),
    ]
}

fn format_one(call: &Call<'_>) -> Result<Value, Fault> {
    Ok(format(call.text(0), call.from(1))?.into())
}

fn format_list(call: &Call<'_>) -> Result<Value, Fault> {
    let arguments = call.from(1);
    let mut length: Option<(usize, usize)> = None;
    for (at, argument) in arguments.iter().enumerate() {
        let Some(elements) = argument.elements() else { continue };
        match length {
            Some((_, wanted)) if wanted != elements.len() => {
                return Err(Fault::at(
                    at + 1,
                    format!("this has {} elements, but another has {wanted}", elements.len()),
                ));
            }
            _ => length = Some((at, elements.len())),
        }
    }
    let mut lines = Vec::new();
    for place in 0..length.map_or(1, |(_, length)| length) {
        let at_place = |argument: &Value| match argument.elements() {
            Some(mut elements) => elements.nth(place).cloned().unwrap_or(Value::NULL),
            None => argument.clone(),
        };
        let row: Vec<Value> = arguments.iter().map(at_place).collect();
        lines.push(Value::from(format(call.text(0), &row)?));
    }
    Ok(Value::list(Type::String, lines))
}

/// One verb of a pattern: `%[3]+08.2f`.
#[derive(Default)]
struct Verb {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
    text: String,
}

/// The widest that one verb may make its text.
const WIDEST: usize = 10_000;

fn format(pattern: &str, arguments: &[Value]) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut next = 0;
    let mut used = 0;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (verb, index, after) = parse(after)?;
        rest = after;
        let at = index.unwrap_or(next);
        next = at + 1;
        used = used.max(next);
        let argument = arguments
            .get(at)
            .ok_or_else(|| Fault::at(0, format!("{} has no argument: there are {}", verb.text, arguments.len())))?;
        out.push_str(&verb.apply(argument).map_err(|refused| Fault { argument: Some(at + 1), ..refused })?);
    }
    out.push_str(rest);
    if used < arguments.len() {
        return Err(Fault::at(used + 1, "the pattern does not use this argument"));
    }
    Ok(out)
}

/// A verb after its `%`, the index of its argument where one is given, and what follows.
fn parse(text: &str) -> Result<(Verb, Option<usize>, &str), Fault> {
    let mut verb = Verb::default();
    let mut rest = text;
    let refuse = || Fault::at(0, "the pattern has an incomplete verb");
    loop {
        match rest.chars().next().ok_or_else(refuse)? {
            '+' => verb.plus = true,
            '-' => verb.minus = true,
            '#' => verb.sharp = true,
            ' ' => verb.space = true,
            '0' => verb.zero = true,
            _ => break,
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    let number = |rest: &mut &str| -> Option<usize> {
        let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        *rest = after;
        digits.parse().ok().map(|number: usize| number.min(WIDEST))
    };
    verb.width = number(&mut rest).unwrap_or(0);
    if let Some(mut after) = rest.strip_prefix('.') {
        verb.precision = Some(number(&mut after).unwrap_or(0));
        rest = after;
    }
    let mut index = None;
    if let Some(after) = rest.strip_prefix('[') {
        let (digits, after) = after.split_once(']').ok_or_else(refuse)?;
        let place = digits.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
        index = Some(place.ok_or_else(|| Fault::at(0, "the pattern has an invalid index"))?);
        rest = after;
    }
    verb.letter = rest.chars().next().ok_or_else(refuse)?;
    rest = rest.get(verb.letter.len_utf8()..).unwrap_or_default();
    let length = text.len() - rest.len();
    verb.text = format!("%{}", text.get(..length).unwrap_or_default());
    Ok((verb, index, rest))
}

impl Verb {
    fn apply(&self, value: &Value) -> Result<String, Fault> {
        if value.is_null() && self.letter != 'v' {
            return Err(Fault::new(format!("{} cannot show null", self.text)));
        }
        match self.letter {
            'v' if self.sharp => self.json(value),
            'v' => match value.ty() {
                _ if value.is_null() => self.json(value),
                Type::String => self.string(value),
                Type::Number => self.number(value, 'g'),
                Type::Bool => self.bool(value),
                _ => self.json(value),
            },
            't' => self.bool(value),
            's' => self.string(value),
            'q' => {
                let text = self.to(value, &Type::String)?;
                Ok(self.pad(&cut(&quoted(text.as_str().map_or("", |text| text)), None)))
            }
            'b' | 'd' | 'o' | 'x' | 'X' => self.integer(value),
            'e' | 'E' | 'f' | 'g' | 'G' => self.number(value, self.letter),
            other => Err(Fault::new(format!("{} has no verb: \"{other}\" is none", self.text))),
        }
    }

    fn to(&self, value: &Value, ty: &Type) -> Result<Value, Fault> {
        convert(value, ty).map_err(|error| Fault::new(format!("{}: {error}", self.text)))
    }

    fn json(&self, value: &Value) -> Result<String, Fault> {
        let json = to_json(value).map_err(|error| Fault::new(error.to_string()))?;
        Ok(self.pad(&json.to_string()))
    }

    fn string(&self, value: &Value) -> Result<String, Fault> {
        let text = self.to(value, &Type::String)?;
        Ok(self.pad(&cut(text.as_str().map_or("", |text| text), self.precision)))
    }

    fn bool(&self, value: &Value) -> Result<String, Fault> {
        let truth = self.to(value, &Type::Bool)?;
        Ok(self.pad(if truth.as_bool() == Some(true) { "true" } else { "false" }))
    }

    fn integer(&self, value: &Value) -> Result<String, Fault> {
        let number = self.to(value, &Type::Number)?;
        let number = number.as_number().cloned().unwrap_or(Number::ZERO);
        if !number.is_integer() {
            return Err(Fault::new(format!("{}: a whole number is required", self.text)));
        }
        let digits = match self.letter {
            'd' => number.abs().to_string(),
            letter => {
                let magnitude: u128 = number
                    .abs()
                    .to_string()
                    .parse()
                    .map_err(|_| Fault::new(format!("{}: the number is too large", self.text)))?;
                match (letter, self.sharp) {
                    ('b', _) => format!("{magnitude:b}"),
                    ('o', false) => format!("{magnitude:o}"),
                    ('o', true) => format!("0{magnitude:o}"),
                    ('x', false) => format!("{magnitude:x}"),
                    ('x', true) => format!("0x{magnitude:x}"),
                    (_, false) => format!("{magnitude:X}"),
                    (_, true) => format!("0X{magnitude:X}"),
                }
            }
        };
        Ok(self.signed(number < Number::ZERO, &digits))
    }

    fn number(&self, value: &Value, letter: char) -> Result<String, Fault> {
        let number = self.to(value, &Type::Number)?;
        let number = number.as_number().cloned().unwrap_or(Number::ZERO);
        let decimal = Decimal::of(&number);
        let digits = match letter {
            'f' => decimal.fixed(self.precision.unwrap_or(6)),
            'e' | 'E' => decimal.scientific(Some(self.precision.unwrap_or(6)), letter),
            _ => decimal.general(self.precision, if letter == 'G' { 'E' } else { 'e' }),
        };
        Ok(self.signed(number < Number::ZERO, &digits))
    }

    /// Digits with their sign, zeroes between the two where the verb asks for them.
    fn signed(&self, negative: bool, digits: &str) -> String {
        let sign = match (negative, self.plus, self.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        if self.zero && !self.minus {
            return format!("{sign}{digits:0>width$}", width = self.width.saturating_sub(sign.len()));
        }
        self.pad(&format!("{sign}{digits}"))
    }

    fn pad(&self, text: &str) -> String {
        let missing = self.width.saturating_sub(text.graphemes(true).count());
        match (self.minus, self.zero) {
            (true, _) => format!("{text}{}", " ".repeat(missing)),
            (false, true) => format!("{}{text}", "0".repeat(missing)),
            (false, false) => format!("{}{text}", " ".repeat(missing)),
        }
    }
}

fn cut(text: &str, precision: Option<usize>) -> String {
    match precision {
        Some(most) => text.graphemes(true).take(most).collect(),
        None => text.to_owned(),
    }
}

/// In double quotes, with the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The decimal digits of a number's magnitude: `0.DIGITS × 10^point`.
struct Decimal {
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    fn of(number: &Number) -> Decimal {
        let text = number.abs().to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let zeroes = all.iter().take_while(|digit| **digit == 0).count();
        let mut digits: Vec<u8> = all.into_iter().skip(zeroes).collect();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { whole.len() as i64 - zeroes as i64 };
        Decimal { digits, point }
    }

    /// The first `count` digits, rounded half to even.
    fn rounded(&self, count: i64) -> Decimal {
        let count = usize::try_from(count).unwrap_or(0);
        if count >= self.digits.len() {
            return Decimal { digits: self.digits.clone(), point: self.point };
        }
        let (kept, rest) = self.digits.split_at(count);
        let odd = kept.last().is_some_and(|digit| digit % 2 == 1);
        let up = match rest.first() {
            Some(5) => odd || rest.len() > 1,
            Some(digit) => *digit > 5,
            None => false,
        };
        let (mut digits, mut point) = (kept.to_vec(), self.point);
        if up {
            while digits.last() == Some(&9) {
                digits.pop();
            }
            match digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    digits.push(1);
                    point += 1;
                }
            }
        }
        Decimal { digits, point }
    }

    fn digit(&self, at: i64) -> char {
        let digit = usize::try_from(at).ok().and_then(|at| self.digits.get(at)).copied().unwrap_or(0);
        char::from(b'0' + digit)
    }

    /// `123.450`
    fn fixed(&self, places: usize) -> String {
        let places = places as i64;
        let rounded = if self.point + places < 0 {
            Decimal { digits: Vec::new(), point: 0 }
        } else {
            self.rounded(self.point + places)
        };
        let whole: String = (0..rounded.point).map(|at| rounded.digit(at)).collect();
        let fraction: String = (rounded.point..rounded.point + places).map(|at| rounded.digit(at)).collect();
        let whole = if whole.is_empty() { "0" } else { &whole };
        if places == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }

    /// `1.2345e+02`; all digits where `places` is `None`.
    fn scientific(&self, places: Option<usize>, letter: char) -> String {
        let places = places.unwrap_or(self.digits.len().saturating_sub(1)) as i64;
        let rounded = self.rounded(places + 1);
        let fraction: String = (1..=places).map(|at| rounded.digit(at)).collect();
        let point = if places == 0 { "" } else { "." };
        let exponent = if rounded.digits.is_empty() { 0 } else { rounded.point - 1 };
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}{point}{fraction}{letter}{sign}{:02}", rounded.digit(0), exponent.abs())
    }

    /// The shorter of the two forms: scientific for very large and very small numbers.
    fn general(&self, precision: Option<usize>, letter: char) -> String {
        let rounded = match precision {
            Some(precision) => self.rounded(precision.max(1) as i64),
            None => self.rounded(i64::MAX),
        };
        let length = rounded.digits.len() as i64;
        let largest = match precision {
            None => 6,
            Some(precision) => {
                let precision = precision.max(1) as i64;
                if precision > length && length >= rounded.point { length } else { precision }
            }
        };
        let exponent = if rounded.digits.is_empty() { 0 } else { rounded.point - 1 };
        if exponent < -4 || exponent >= largest {
            return rounded.scientific(None, letter);
        }
        rounded.fixed(usize::try_from(length - rounded.point).unwrap_or(0))
    }
}
