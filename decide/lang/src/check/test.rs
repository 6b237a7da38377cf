//! Tests of roles and images.

use andon_schema::Schemas;
use andon_text::Diagnostics;
use andon_value::Value;

use super::{item_span, key_span};
use crate::definitions::{Project, Test};
use crate::image::find_image;
use crate::literal;
use crate::role::{Places, find, lineage, params};
use crate::test::{test_case, test_checks};

pub(super) fn check(project: &Project, test: &Test, schemas: &Schemas, out: &mut Diagnostics) {
    let image = test.server.attribute("image").map(|attribute| &attribute.value);
    if let Some(expr) = image
        && let Some(name) = literal::string(expr)
    {
        out.extend(find_image(project, &name, Some(expr.span)).err());
    }
    out.extend(test_checks(project, test, &Value::UNKNOWN, schemas).err().into_iter().flatten());
    let case = test_case(project, test, schemas);
    let Some(role) = &test.role else { return out.extend(case.err().into_iter().flatten()) };
    let found = match find(&project.roles, &role.name, Some(role.span)) {
        Ok(found) => found,
        Err(error) => return out.push(error),
    };
    match (case, lineage(&project.roles, &found)) {
        (Ok(case), Ok(lineage)) => {
            let place = |name: &str| item_span(test.params.as_ref()?, name);
            let key = |name: &str| key_span(test.params.as_ref()?, name);
            let head = Some(test.params.as_ref().map_or(test.span, |expr| expr.span));
            let found = params(&lineage, &case.params, &Places { of: &place, key: &key, head });
            out.extend(found.err().into_iter().flatten());
        }
        (Err(errors), _) => out.extend(errors),
        _ => {}
    }
}
