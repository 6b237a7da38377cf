# A small shop: one network, a few web servers behind a balancer.

project "shop" {
  required_version = ">= 0.1"
}

environment "dev" {
  variables = {
    web_count = 2
    listen    = "127.0.0.1:8080"
    greeting  = "hello from dev"
  }
}

environment "production" {
  variables = {
    web_count = 4
    listen    = "127.0.0.1:8090"
    greeting  = "hello from production"
  }
  protected = true # an apply needs an approved change
}
