# The image already has what the role asks, and answers.

test "web serves" {
  server {
    image = "web"
  }

  role   = "web"
  params = { greeting = "baked" }

  expect {
    changes = 0
  }

  check "answers" {
    http "http://${server.address}/healthz" {
      status = 200
    }
  }
}
