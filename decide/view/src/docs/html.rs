//! A document as one HTML file that needs nothing else: no script, no font, no request.

use std::fmt::Write;

use super::{Document, Part, Run, Text};
use crate::graph::svg;

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1c2024;--soft:#5b6570;--line:#d9dee3;--back:#fff;--code:#f2f4f6;--link:#0b62a8}\
@media(prefers-color-scheme:dark){:root{--text:#e4e8ec;--soft:#9aa5b1;--line:#363d45;--back:#15181b;--code:#22272c;--link:#7db8ee}}\
*{box-sizing:border-box}body{margin:0;color:var(--text);background:var(--back);font:16px/1.55 system-ui,sans-serif}\
.page{display:grid;grid-template-columns:15rem minmax(0,60rem);gap:3rem;max-width:80rem;margin:0 auto;padding:2rem}\
nav{position:sticky;top:2rem;align-self:start;max-height:calc(100vh - 4rem);overflow:auto;font-size:.9rem}\
nav ul{list-style:none;margin:0;padding:0}nav li{margin:.2rem 0}nav .l2{padding-left:1rem}nav .l3{padding-left:2rem}\
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}\
h1{font-size:2rem;margin:0 0 1rem}h2{margin:2.5rem 0 .8rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}\
h3{margin:1.6rem 0 .6rem}h4{margin:1.2rem 0 .4rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}\
th{text-align:left;color:var(--soft);font-weight:600}th,td{padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--line);vertical-align:top}\
code{font:.9em ui-monospace,monospace;background:var(--code);border-radius:3px;padding:.1em .3em;overflow-wrap:anywhere}\
figure{margin:1.5rem 0;overflow-x:auto}figure svg{max-width:100%;height:auto}\
@media(max-width:60rem){.page{display:block;padding:1rem}nav{position:static;max-height:none;margin-bottom:2rem}}\
@media print{nav{display:none}.page{display:block}}";

/// The page.
pub fn html(document: &Document) -> String {
    let title = escape(&document.title);
    let mut contents = String::new();
    let mut main = String::new();
    let mut heading = 0;
    for part in &document.parts {
        match part {
            Part::Heading(level, text) => {
                heading += 1;
                let tag = (level + 1).min(6);
                let text = inline(text);
                let _ = writeln!(main, "<h{tag} id=\"s{heading}\">{text}</h{tag}>");
                let _ = writeln!(contents, "<li class=\"l{level}\"><a href=\"#s{heading}\">{text}</a></li>");
            }
            Part::Paragraph(text) => {
                let _ = writeln!(main, "<p>{}</p>", inline(text));
            }
            Part::Table(columns, rows) => {
                main.push_str("<div class=\"wide\"><table><thead><tr>");
                columns.iter().for_each(|column| main.push_str(&format!("<th scope=\"col\">{}</th>", escape(column))));
                main.push_str("</tr></thead><tbody>\n");
                for row in rows {
                    main.push_str("<tr>");
                    row.iter().for_each(|cell| main.push_str(&format!("<td>{}</td>", inline(cell))));
                    main.push_str("</tr>\n");
                }
                main.push_str("</tbody></table></div>\n");
            }
            Part::Picture(picture) => {
                let _ = writeln!(main, "<figure>{}</figure>", svg(picture));
            }
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<div class=\"page\">\n<nav aria-label=\"Contents\"><ul>\n{contents}</ul></nav>\n\
         <main>\n<h1>{title}</h1>\n{main}</main>\n</div>\n</body>\n</html>\n"
    )
}

fn inline(text: &Text) -> String {
    let run = |run: &Run| match run {
        Run::Words(words) => escape(words),
        Run::Code(code) => format!("<code>{}</code>", escape(code)),
        Run::Break => "<br>".to_owned(),
    };
    text.0.iter().map(run).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
