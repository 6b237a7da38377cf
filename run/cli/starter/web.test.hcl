test "web serves" {
  server {
    image = "web"
  }
  role   = "web"
  params = { greeting = "hi" }

  check "answers" {
    http "http://${server.address}/" {
      status   = 200
      contains = "hi"
    }
  }
}
