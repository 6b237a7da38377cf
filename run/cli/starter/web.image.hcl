image "web" {
  from   = "debian:bookworm"
  roles  = ["web"]
  params = { greeting = "baked" }
}
