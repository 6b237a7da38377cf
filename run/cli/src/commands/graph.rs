//! `graph`: a picture of the project.

use andon_text::Diagnostic;
use andon_view::graph::{self, Collapse};

use crate::args::{CollapseBy, GraphArguments, Picture};
use crate::context::{Context, Stop};
use crate::terminal::{print_json, write_file};

/// `andon graph`
pub fn run(context: &Context, arguments: &GraphArguments) -> Result<(), Stop> {
    let project = context.open_definitions()?;
    // A picture has no values in it.
    let found = project.check().into_iter().filter(|found| found.name != Some(Diagnostic::MISSING_VALUE)).collect();
    let project = context.said(project, &found)?;
    let names: Vec<String> = arguments.stacks.stacks.iter().chain(&arguments.only).cloned().collect();
    let mut stacks = context.stacks(&project, &names)?;
    // The only stack of a project without `stacks/` has no name, and is all there is.
    stacks.retain(|name| !name.is_empty());
    let collapse = match arguments.collapse {
        None => Collapse::Nothing,
        Some(CollapseBy::Types) => Collapse::Types,
        Some(CollapseBy::Modules) => Collapse::Modules,
        Some(CollapseBy::Stacks) => Collapse::Stacks,
    };
    let picture = graph::picture(project.session.project(), &stacks).collapsed(collapse);
    if context.arguments.json && arguments.output.is_none() {
        print_json(&graph::graph_json(&picture));
        return Ok(());
    }
    let text = match arguments.format {
        _ if context.arguments.json => format!("{}\n", graph::graph_json(&picture)),
        Picture::Dot => graph::dot(&picture),
        Picture::Mermaid => graph::mermaid(&picture),
        Picture::Svg => graph::svg(&picture),
    };
    match &arguments.output {
        Some(path) => write_file(path, &text),
        None => {
            context.print(&text);
            Ok(())
        }
    }
}
