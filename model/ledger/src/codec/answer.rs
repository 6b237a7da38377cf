//! Answers of the world, as saved plans hold them.

use andon_schema::{Answer, Complaint, Failure, FoundObject, FunctionFault, Planned};
use andon_value::{Path, PathStep, Value};
use serde_json::Value as Json;

use super::read::{self, Node, Read};
use super::write::{self, Members, With, Written};

pub(super) fn write(answer: &Answer) -> Written<Members> {
    let kind = |kind: &str| Members::new().with("answer", kind);
    Ok(match answer {
        Answer::Planned(planned) => {
            let Planned { value, replace, report, kept, legacy, warnings } = &**planned;
            let members = kind("planned")
                .with("value", plain(value)?)
                .with_list("replace", replace.iter().map(path).collect())
                .with_flag("legacy", *legacy)
                .with_list("warnings", warnings.iter().map(complaint).collect());
            let members = write::with_kept(members, kept)?;
            match report {
                Some(report) => members.with("report", write::report(report)),
                None => members,
            }
        }
        Answer::Object(None) => kind("object"),
        Answer::Object(Some(value)) => kind("object").with("value", plain(value)?),
        Answer::Found(found) => {
            let FoundObject { stored, now, kept, warnings } = &**found;
            let members = kind("found")
                .with("stored", plain(stored)?)
                .with_list("warnings", warnings.iter().map(complaint).collect());
            let members = write::with_kept(members, kept)?;
            match now {
                Some(now) => members.with("now", plain(now)?),
                None => members,
            }
        }
        Answer::Function(Ok(value)) => kind("function").with("value", plain(value)?),
        Answer::Function(Err(FunctionFault { message, argument })) => {
            let members = kind("function").with("fault", message.as_str());
            match argument {
                Some(argument) => members.with("argument", *argument as u64),
                None => members,
            }
        }
        Answer::Failed(failure) => {
            let mut members = kind("failed");
            members.append(&mut write::failure(failure));
            members.with_list("complaints", failure.complaints.iter().map(complaint).collect())
        }
    })
}

pub(super) fn read(record: &Json) -> Read<Answer> {
    let node = Node::new(record);
    Ok(match node.member("answer")?.text()? {
        "planned" => Answer::Planned(Box::new(Planned {
            value: read::value(node.member("value")?)?,
            replace: node.each("replace", read_path)?,
            report: node.optional("report").map(read::report).transpose()?,
            kept: read::kept(node)?,
            legacy: node.flag("legacy")?,
            warnings: node.each("warnings", read_complaint)?,
        })),
        "object" => Answer::Object(node.optional("value").map(read::value).transpose()?),
        "found" => Answer::Found(Box::new(FoundObject {
            stored: read::value(node.member("stored")?)?,
            now: node.optional("now").map(read::value).transpose()?,
            kept: read::kept(node)?,
            warnings: node.each("warnings", read_complaint)?,
        })),
        "function" => Answer::Function(match node.optional("fault") {
            None => Ok(read::value(node.member("value")?)?),
            Some(fault) => {
                let argument = node.optional("argument").map(Node::number).transpose()?;
                let argument = argument.and_then(|argument| usize::try_from(argument).ok());
                Err(FunctionFault { message: fault.string()?, argument })
            }
        }),
        "failed" => {
            let failure = read::failure(node)?;
            Answer::Failed(Failure { complaints: node.each("complaints", read_complaint)?, ..failure })
        }
        _ => return Err(node.member("answer")?.is_not("a kind of answer")),
    })
}

/// Nothing of what an answer holds may be ephemeral: whatever is would be in a file.
fn plain(value: &Value) -> Written<Json> {
    write::value(value)
}

fn complaint(complaint: &Complaint) -> Json {
    let members = Members::new()
        .with_flag("error", complaint.error)
        .with("summary", complaint.summary.as_str())
        .with_text("detail", &complaint.detail);
    Json::Object(members.with("path", path(&complaint.path)))
}

fn read_complaint(node: Node<'_>) -> Read<Complaint> {
    Ok(Complaint {
        error: node.flag("error")?,
        summary: node.member("summary")?.string()?,
        detail: node.text_or_empty("detail")?,
        path: read_path(node.member("path")?)?,
    })
}

/// A step each: `{"attribute": …}`, `{"key": …}`, `{"index": …}` or `{"element": …}`.
fn path(path: &Path) -> Json {
    let step = |step: &PathStep| {
        Json::Object(match step {
            PathStep::Attribute(name) => Members::new().with("attribute", &**name),
            PathStep::Key(key) => Members::new().with("key", &**key),
            PathStep::Index(index) => Members::new().with("index", *index as u64),
            PathStep::Element(value) => Members::new().with("element", andon_value::encode(value)),
        })
    };
    Json::Array(path.steps().iter().map(step).collect())
}

fn read_path(node: Node<'_>) -> Read<Path> {
    let step = |step: Node<'_>| {
        if let Some(name) = step.optional("attribute") {
            return Ok(PathStep::Attribute(name.text()?.into()));
        }
        if let Some(key) = step.optional("key") {
            return Ok(PathStep::Key(key.text()?.into()));
        }
        if let Some(index) = step.optional("index") {
            return Ok(PathStep::Index(usize::try_from(index.number()?).unwrap_or(usize::MAX)));
        }
        Ok(PathStep::Element(read::value(step.member("element")?)?))
    };
    Ok(node.elements(step)?.into_iter().collect())
}
