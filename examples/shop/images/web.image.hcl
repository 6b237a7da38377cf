# What the servers boot from: everything that does not change from one environment to the next.

image "web" {
  from   = "debian:bookworm"
  roles  = ["web"]
  params = { greeting = "baked" }
}
