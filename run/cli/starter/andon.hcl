project "PROJECT" {
  required_version = ">= 0.1"
}

environment "dev" {
  variables = { web_count = 2 }
}
