use andon_hcl::{format, format_source, format_terraform};

use crate::dump::error_lines;

/// Valid files of every kind of writing. The test against a real terraform reads them too.
pub const CORPUS: &[&str] = &[
    "",
    "\n",
    "\n\n\na=1",
    "a=1\n\n\n\n\nb=2\n\n\n",
    "a=1\nbcd=2\n",
    "a=1\n\nbcd=2\n",
    "a=1 # one\nbcd=22222 # two\n",
    "a=1 # one\nbcd={ # two\n}\n",
    "a=1 // one\nbcd=22222 /* two */\ne = 3\n",
    "# first\na=1\n# second\nb   =   2\n    # third\n",
    "/* a\n   b */\na=1\nb { /* x */\n/* y */ c = 1\n}\n",
    "b{}\nb {  }\nb{\n}\nb{\n\n\n}\n",
    "b{a=1}\nb \"x\"   y   {  a=1  }\n",
    "resource aws_x name {\nfoo=1\nbar_baz=\"x\"\n\nnested{\na=1\n}\n}\n",
    "b \"a\" /* c */ \"d\" {\n}\n",
    "a=[1,2,3]\nb=[ 1 , 2 ]\nc=[]\nd=[ ]\ne={}\nf={ }\n",
    "a=[\n1,\n2,\n]\nb=[1,\n2]\nc=[[1,\n2],[\n3]]\n",
    "a={b=1,c=2}\nd={b:1,\"c\":2}\ne={\nb=1\nccc=2\n\ndd={\nx=1\nyyy=2\n}\n}\n",
    "a={\nb : 1\nccc:2\n\"d\"=3\n(e)=4\n}\n",
    "a=f(1,2)\nb=f( 1 , 2 )\nc=f(\n1,\n2\n)\nd = f([\n1\n])\ne=f({\na=1\n},{\nb=2\n})\n",
    "a=f (x)\nb=f(x...)\nc=f(x ...)\nd=provider::a::b(1)\n",
    "a=1+2*3-4/5%6\nb=-1\nc=- 1\nd=1- -1\ne=!x\nf=! x\ng=!!x\nh=-x.y\ni=(-1)\nj=[-1,-2]\nk=a-b\nl=a -b\nm=f(-1)\nn=x?-1:-2\n",
    "a=b==c\na2=b!=c&&d||e\na3=b<c\na4=b>=c\na5=x?y:z\na6=x ?  y  :  z\n",
    "a=b.c.d\nb=b . c\nc=b[0]\nd=b [ 0 ]\ne=b[\"x\"].y\nf=b.*.c\ng=b[*].c\nh=b.0.c\ni=f(x)[0]\nj=[1][0]\nk=b[0][1]\nl=b[ * ].c\n",
    "a=[for x in y:x]\nb=[for x,z in y : x if z]\nc={for x in y:x=>x...}\nd={for k,v in m : k=>v if v!=null}\ne=[for x in [1,2]:x]\nf=[\nfor x in y:\nx\n]\n",
    "a=\"x${b}y${ c }z\"\nb=\"${b}${c}\"\nc=\"%{if x}a%{else}b%{endif}\"\nd=\"%{ if x ~}a%{~ endif }\"\ne=\"${~ b ~}\"\nf=\"${b[ 0 ]}-${f( x )}\"\n",
    "a=\"${b}\"\nc=\"${ b.c }\"\nd=\"${f(\"x\")}\"\ne=\"${b}x\"\nf=\"${\"x\"}\"\ng=\"${~b}\"\nh=\"${b~}\"\ni=\"${b ? c : d}\"\n",
    "a=[\"${b}\"]\nc={d=\"${e}\"}\nf=g(\"${h}\")\n",
    "a=\"${\nb\n}\"\n",
    "a=\"${b\n+c}\"\n",
    "a=\"${f(\nb\n)}\"\n",
    "a=\"${\"${b}\"}\"\n",
    "a=\"${b}${\"c\"}\"\n",
    "a=\"${b + \"${c}\"}\"\n",
    "a=<<EOT\n  x\n y ${b} z\nEOT\nb=1\n",
    "x{\na=<<-EOT\n  x\n y ${ b } z\n  %{ if x }\n %{ endif }\n    EOT\nbcd=1\n}\n",
    "x{\na=[<<A\nx\nA\n,<<B\ny\nB\n]\nb=f(<<A\nx\n  A\n)\n}\n",
    "x {\na = <<A\n ${f(\n  1,\n  2)} x\n  b\nA\n  b = 1\n}\n",
    "x {\na = {\nb = <<A\n ${jsonencode({\n  a = 1\n   bcd = 2 # x\n})} x\nA\n  c = 1\n}\n}\n",
    "a=1\r\nbcd=2\r\n\r\nx {\r\ny=1\r\n}\r\n",
    "a=1 # x\r\nbcd=2 # y\r\n",
    "\u{feff}a=1\n",
    "a=\"é\" # x\nb=\"eee\" # y\nc=\"日本\" # z\nd=\"👩‍👩‍👧\" # w\n",
    "größe=1\nx=2\n",
    "variable \"a\" {\ntype=string\ndefault=\"${b}\"\n}\nvariable b {\ntype=\"string\"\n}\nvariable \"c\"{\ntype=list\n}\nvariable \"d\"{\ntype=\"list\"\n}\nvariable \"e\"{\ntype=map\n}\nvariable \"f\"{\ntype=\"map\"\n}\nvariable \"g\"{\ntype=set\n}\nvariable \"h\"{\ntype=\"set\"\n}\nvariable \"i\"{\ntype=\"number\"\n}\nvariable \"j\"{\ntype=\"bool\"\n}\nvariable \"k\"{\ntype=\"any\"\n}\nvariable \"l\"{\ntype=any\n}\nvariable \"m\"{\ntype=list(string)\n}\nvariable \"n\"{\ntype=\"list(string)\"\n}\nvariable \"o\"{\ntype=object({\na=string\nbcd=optional(number,1)\n})\n}\n",
    "variable \"a\" {\nvalidation {\ntype=\"string\"\ncondition=length(var.a)>4&&substr(var.a,0,4)==\"ami-\"\nerror_message=\"x\"\n}\n}\nresource \"a\" \"b\" {\ntype=\"string\"\n}\n",
    "terraform {\nrequired_providers {\naws={\nsource=\"hashicorp/aws\"\nversion=\"~> 5.0\"\n}\n}\nbackend \"s3\" {\nbucket=\"x\"\n}\n}\n",
    "resource \"a\" \"b\" {\ncount=var.x?1:0\nprovider=aws.west\ndepends_on=[a.b,c.d]\ntags=merge(local.tags,{\nName=\"x-${count.index}\"\nLonger=\"y\"\n})\nlifecycle{\nignore_changes=[tags[\"x\"],ami]\ncreate_before_destroy=true\n}\ndynamic \"x\" {\nfor_each=var.y\ncontent {\na=x.value\nbcd=x.key\n}\n}\n}\n",
    "locals {\n  a = 1\n  bb = {\n    c = 1\n  }\n  ccc = 2\n  dddd = [\n  1 ]\n e = 3\n}\n",
    "locals {\na=(1+\n2)\nb=(\n1\n)\nc=[for x in y:{\na=x\nbb=x\n}]\nd=[{\na=1\n},{\nb=2\n}]\ne=f(a,[\n1,\n],b)\n}\n",
    "a={\n# x\nb=1 # y\n\n# z\nccc=2 # w\n}\n",
    "a=1 #x\n#y\nb=2 #z\n",
    "a = [\n  1, # one\n  22, # two\n  333 # three\n]\n",
    "a = f(x, # one\n  yy, # two\n)\n",
    "a = b ? [\n1\n] : [\n2\n]\n",
    "x \"a\\u00e9\\\"b\" {\n}\n",
    "moved {\nfrom=a.b[0]\nto=a.b[\"x\"]\n}\nimport {\nto=a.b\nid=\"x\"\n}\ncheck \"c\" {\nassert {\ncondition=alltrue([for x in y:x>0])\nerror_message=\"no\"\n}\n}\n",
    "output \"x\" {\nvalue=\"${a.b}\"\nsensitive=true\n}\n",
    "a=\"\"\nb=\"\\\"\\\\\"\nc=\"$${x} %%{y}\"\nd=null\ne=true\n",
    "a=x.y[z.w][0].*.q\nb=!x.y\nc=!(x)\nd=-(x)\ne=x[-1]\nf=(x)-1\ng=x[0]-1\nh=\"a\"==\"b\"\ni=1e3\n",
    "a = {\n  for k, v in x :\n  k => v\n}\nb = {for k, v in x : k => {\na=1\n}}\n",
    "x {\n    a = 1\n\n\n    y {\n\n      b = 1\n\n    }\n\n}\n",
    "x {\n\ta\t=\t1\n\tbcd\t=\t2\t# x\n}\n",
    "a = [for x in y : x if x != \"\" && !contains(z, x)]\n",
    "a = {\"b\" = 1,\n\"c\" = 2}\n",
    "a = { b = 1\nc = 2 }\n",
    "a = jsonencode({\n\"Version\"=\"2012-10-17\",\n\"Statement\"=[{\n\"Action\":\"x\",\n\"Effect\" : \"Allow\"\n}]\n})\n",
    "a /* x */ = /* y */ 1 /* z */\n",
    "a = 1 /* x */ # y\nbcd = 2 # z\n",
    "a = /* x\n y */ 1\nbcd = 2\n",
    "a = [ # x\n1,\n]\nb { # y\nc = 1 # z\n}\n",
    "a = (x) ? (y) : (z)\nb = [(x)]\nc = {(x) = 1}\nd = f((x))\n",
    "a = \"${x}\" # c\nbcd = \"${y}\" # d\n",
    "a = \"%{ for x in y }${x}%{ endfor }\"\nb = \"%{for x in [1,2]}${x}%{endfor}\"\n",
    "in = 1\nx = in\n",
    "x = 1 ",
    "x=1 # c",
    "bcd=2 # d\nx=1 # c",
    "x {\n}\n# c",
    "x=1\n  ",
    "x {\n a=1\n}\n y {}",
    "x {\n a = \"${f(<<A\n b\nA\n)}\"\n}\n",
    "a = <<A\n  ${b} # no comment\n  c = 1 # d\nA\nb = 1\n",
    "a = <<A\n%{ for x in y ~}\n  - ${ x }\n%{ endfor ~}\nA\n",
    "x \"a\" {\n  provisioner \"local-exec\" {\n command = <<-EOT\n    echo ${self.id} > f\n      EOT\n  }\n}\n",
    "a = b ? f(x,\ny) : g(\nz)\n",
    "a = [[\n1\n],\n[\n2\n]]\n",
    "a = f({\nb = [\n1\n]})\nc = 1\n",
    "a = {\nb = [{\nc = 1\n}]\nd = f(\n1,\n[2,\n3])\n}\n",
    "a = 1\n\n# x\n\nb = 1 # y\n# z\nccc = 1 # w\n",
    "a { b = 1 }\nccc { d = 1 } # x\ne { f = 1 } # yy\n",
    "a = \"x\" == \"y\" ? \"${b}\" : \"c\"\n",
    "a = -1 + -b * -c[0] - -d\nb = [-1]\nc = {a = -1}\nd = x > -1 && -y < 0 ? -1 : -2\n",
    "a = x [\n0\n]\nb = x[y [ 0 ] ]\nc = [ [1] , [2] ]\nd = { a = [1] } [ \"a\" ]\n",
    "a = true?1:2\nb = {true=1,null:2}\nc = {for k,v in {a=1}:k=>v}\n",
];

#[test]
fn a_second_time_changes_nothing() {
    for text in CORPUS {
        let once = format(text);
        // A string that is only an interpolation of such a string loses one pair of quotes at a time.
        if text.contains("\"${\"${") {
            continue;
        }
        assert_eq!(format(&once), once, "{text}");
    }
}

#[test]
fn a_file_with_errors_stays_as_it_is() {
    for text in ["a  =", "a  = [1\n", "b   {\n", "a  = 'x'", "a =   <<E\nx\n", "a=\"x\n"] {
        assert_eq!(format(text), text);
    }
}

#[test]
fn labels_beside_one_with_holes_stay() {
    assert_eq!(format("a \"${x}\" b \"${y}\" {\n}\n"), "a \"${x}\" \"b\" \"${y}\" {\n}\n");
}

#[test]
fn what_only_our_own_files_may_hold_is_refused_in_terraforms() {
    let map = &mut andon_text::SourceMap::new();
    for (text, refused) in [
        ("a \"${x}\" {\n}\n", "1:3+6 a label cannot be computed"),
        ("a \"b\" \"c%{ if x }d%{ endif }\" {\n}\n", "1:7+23 a label cannot be computed"),
        ("a { b { c = 1 } }\n", "1:5+1 a block in a block that is on one line"),
        ("a {\n  b { c \"d\" {} }\n}\n", "2:7+5 a block in a block that is on one line"),
        ("a \"$${x}\" {\n  b { c = 1 }\n}\n", ""),
        ("a {}\n", ""),
    ] {
        let id = map.add("x", text);
        let found = format_terraform(id, text).err().map(|errors| error_lines(map, &errors).join("\n"));
        assert_eq!(found.unwrap_or_default(), refused, "{text}");
        assert!(format_source(id, text).is_ok(), "{text}");
    }
}
