//! Messages of the domain name system, as far as a server for a few names reads and writes them (RFC 1035, section 4).

use std::net::Ipv4Addr;

/// Kinds of records that are asked for (RFC 1035, section 3.2.2).
pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const ANY: u16 = 255;
const IN: u16 = 1;

/// What comes of a question (RFC 1035, section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Done = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotDone = 4,
    Refused = 5,
}

/// One question, and what of its message goes into the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    id: u16,
    is_recursive: bool,
    /// The question as it was asked.
    raw: Vec<u8>,
    /// The name, in lower case, without the dot at its end.
    pub name: String,
    /// The kind of record.
    pub kind: u16,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Address(Ipv4Addr),
    Name(String),
}

/// Reads a question. An error is the answer to what is none, if any can be given.
pub(super) fn read(message: &[u8]) -> Result<Question, Option<Vec<u8>>> {
    let word = |at: usize| {
        message.get(at..at + 2).map(|bytes| bytes.iter().fold(0, |word, byte| word << 8 | u16::from(*byte)))
    };
    let (Some(id), Some(flags), Some(questions)) = (word(0), word(2), word(4)) else { return Err(None) };
    // An answer is not answered.
    if flags & 0x8000 != 0 {
        return Err(None);
    }
    let refuse = |code| Err(Some(head(id, flags & 0x0100 != 0, code, false, 0, 0)));
    if flags >> 11 & 0xf != 0 {
        return refuse(Code::NotDone);
    }
    if questions != 1 {
        return refuse(Code::Malformed);
    }
    let Some((name, end)) = name_at(message, 12) else { return refuse(Code::Malformed) };
    let (Some(kind), Some(class), Some(raw)) = (word(end), word(end + 2), message.get(12..end + 4)) else {
        return refuse(Code::Malformed);
    };
    if class != IN && class != ANY {
        return refuse(Code::Refused);
    }
    Ok(Question { id, is_recursive: flags & 0x0100 != 0, raw: raw.to_vec(), name, kind })
}

/// A name from a place in a message, and where it ends. In a question there is nothing before it to point to.
fn name_at(message: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = start;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => return (name.len() <= 253).then_some((name, at)),
            1..=63 => {
                let label = message.get(at..at + length)?;
                if !name.is_empty() {
                    name.push('.');
                }
                // A dot inside a label would be taken for one between two.
                let is_plain = label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
                name.extend(
                    label.iter().map(|byte| if is_plain { char::from(byte.to_ascii_lowercase()) } else { '?' }),
                );
                at += length;
            }
            _ => return None,
        }
        if at - start > 255 {
            return None;
        }
    }
}

/// The answer to a question.
pub(super) fn write(question: &Question, code: Code, is_own: bool, answers: &[Answer]) -> Vec<u8> {
    let count = u16::try_from(answers.len()).unwrap_or(u16::MAX);
    let mut message = head(question.id, question.is_recursive, code, is_own, 1, count);
    message.extend(&question.raw);
    for answer in answers.iter().take(usize::from(count)) {
        let (kind, data) = match answer {
            Answer::Address(address) => (A, address.octets().to_vec()),
            Answer::Name(name) => (PTR, labels(name)),
        };
        // The name is that of the question. Nobody keeps the answer: servers come and go.
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend(IN.to_be_bytes());
        message.extend(0_u32.to_be_bytes());
        message.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        message.extend(data);
    }
    message
}

fn head(id: u16, is_recursive: bool, code: Code, is_own: bool, questions: u16, answers: u16) -> Vec<u8> {
    let flags = 0x8080 | u16::from(is_own) << 10 | u16::from(is_recursive) << 8 | code as u16;
    [id, flags, questions, answers, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect()
}

fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| (1..=63).contains(&label.len()));
    let mut bytes: Vec<u8> = labels.flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes())).collect();
    bytes.push(0);
    bytes
}

/// A question for the addresses of a name.
pub(super) fn ask(id: u16, name: &str) -> Vec<u8> {
    let mut message: Vec<u8> = [id, 0x0100, 1, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect();
    message.extend(labels(name));
    message.extend([A, IN].into_iter().flat_map(u16::to_be_bytes));
    message
}

/// The addresses of an answer of [`write`] to a question of [`ask`]; `None` where it is another's.
pub(super) fn addresses(question: &[u8], answer: &[u8]) -> Option<Vec<Ipv4Addr>> {
    if answer.get(..2)? != question.get(..2)? {
        return None;
    }
    // A pointer to the name, a kind, a class, a time to live and a length are before four octets.
    let records = answer.get(question.len()..)?.chunks_exact(16);
    let octets = records.filter_map(|record| <[u8; 4]>::try_from(record.get(12..)?).ok());
    Some(octets.map(Ipv4Addr::from).collect())
}

/// The address that a name such as `2.0.64.10.in-addr.arpa` asks the name of (RFC 1035, section 3.5).
pub(super) fn reversed(name: &str) -> Option<Ipv4Addr> {
    let octets = name.strip_suffix(".in-addr.arpa")?;
    let octets: Vec<u8> = octets.split('.').map(|octet| octet.parse().ok()).collect::<Option<_>>()?;
    let [a, b, c, d] = octets.try_into().ok()?;
    Some(Ipv4Addr::new(d, c, b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_answered() {
        let asked = ask(7, "web-0.app.lab");
        let question = read(&asked).unwrap();
        assert_eq!((question.name.as_str(), question.kind), ("web-0.app.lab", A));
        for all in [&[][..], &[Ipv4Addr::new(10, 64, 0, 2)], &[Ipv4Addr::new(10, 64, 0, 2), Ipv4Addr::LOCALHOST]] {
            let answers: Vec<_> = all.iter().map(|address| Answer::Address(*address)).collect();
            let answer = write(&question, Code::Done, true, &answers);
            assert_eq!(addresses(&asked, &answer).as_deref(), Some(all));
            assert_eq!(addresses(&ask(8, "web-0.app.lab"), &answer), None);
        }
        assert_eq!(addresses(&asked, &[0, 7]), None);
    }

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let head = [7_u16, 0x0100, 1, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes);
        head.chain(labels(name)).chain(kind.to_be_bytes()).chain(IN.to_be_bytes()).collect()
    }

    #[test]
    fn questions_are_read_and_answered() {
        let question = read(&query("Web-0.App.lab", A)).unwrap();
        assert_eq!((&*question.name, question.kind), ("web-0.app.lab", A));
        let answer = write(&question, Code::Done, true, &[Answer::Address(Ipv4Addr::new(10, 64, 0, 2))]);
        assert_eq!(answer.get(..12), Some(&[0, 7, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..]));
        assert!(answer.ends_with(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 64, 0, 2]));
        let answer = write(&question, Code::NoSuchName, true, &[]);
        assert_eq!((answer.get(3), answer.len()), (Some(&0x83), query("Web-0.App.lab", A).len()));
        let answer = write(&question, Code::Done, false, &[Answer::Name("a.lab".into())]);
        assert!(answer.ends_with(&[0, 7, 1, b'a', 3, b'l', b'a', b'b', 0]));
    }

    #[test]
    fn what_is_no_question_is_told_so_or_left() {
        assert_eq!(read(b""), Err(None));
        assert_eq!(read(&[0; 11]), Err(Some(vec![0, 0, 0x80, 0x81, 0, 0, 0, 0, 0, 0, 0, 0])));
        let mut answer = query("a", A);
        answer[2] |= 0x80;
        assert_eq!(read(&answer), Err(None));
        let code = |message: &[u8]| read(message).unwrap_err().unwrap()[3] & 0xf;
        let mut two = query("a", A);
        two[5] = 2;
        assert_eq!(code(&two), 1);
        let mut update = query("a", A);
        update[2] = 5 << 3;
        assert_eq!(code(&update), 4);
        for cut in 12..query("web.app.lab", A).len() {
            assert_eq!(code(&query("web.app.lab", A)[..cut]), 1, "{cut}");
        }
        let mut pointer = query("a", A);
        pointer[12] = 0xc0;
        assert_eq!(code(&pointer), 1);
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(63)].join(".");
        assert_eq!(code(&query(&long, A)), 1);
    }

    #[test]
    fn addresses_are_asked_backwards() {
        assert_eq!(reversed("2.0.64.10.in-addr.arpa"), Some(Ipv4Addr::new(10, 64, 0, 2)));
        for wrong in ["", "10.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "256.0.0.1.in-addr.arpa", "2.0.64.10.ip6.arpa"] {
            assert_eq!(reversed(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_read_is_too_much(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            if let Ok(question) = read(&bytes) {
                write(&question, Code::Done, true, &[]);
            }
        }
    }
}
