role "job" {
  param "target" { type = string }
  param "files" {
    type    = number
    default = 1000
  }

  locals {
    peers = ["alpha", "beta", "gamma", "delta", "epsilon"]
  }

  directory "places" {
    for_each = toset([for number in range(20) : format("d%02d", number)])
    path     = "${param.target}/${each.key}"
    mode     = "0750"
  }

  user "users" {
    for_each = toset([for number in range(10) : format("bench%02d", number)])
    name     = each.key
    shell    = "/bin/sh"
  }

  package "tools" {
    for_each = toset(["coreutils", "bash", "tar", "gzip", "sed", "grep", "findutils", "util-linux", "passwd", "login"])
    name     = each.key
  }

  file "services" {
    for_each = { for index in range(param.files) : format("svc-%04d", index) => index }
    path     = "${param.target}/${format("d%02d", each.value % 20)}/${each.key}.conf"
    content  = templatefile("site.conf.tftpl", { name = each.key, index = each.value, peers = local.peers })
    mode     = "0640"
  }

  line "settings" {
    for_each = toset(["03", "13", "23", "33", "43"])
    path     = "${param.target}/app.ini"
    line     = "key${each.key}=managed${each.key}"
    match    = "^key${each.key}="
  }
}
