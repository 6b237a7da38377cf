# What every server of the shop has.

role "base" {
  param "timezone" {
    description = "The time zone, by its name in the tz database."
    type        = string
    default     = "UTC"
  }

  package "ca-certificates" {}

  timezone "current" {
    name = param.timezone
  }

  user "deploy" {
    groups = ["sudo"]
    shell  = "/bin/bash"
  }

  sysctl "net.core.somaxconn" {
    value = 4096
  }
}
