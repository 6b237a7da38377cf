variable "web_count" {
  description = "How many servers there are."
  type        = number

  validation {
    condition     = var.web_count > 0
    error_message = "The shop needs at least one server."
  }
}

variable "listen" {
  description = "The address and port of this machine that the shop is reached at."
  type        = string
}

variable "greeting" {
  description = "What the shop says to its visitors."
  type        = string
}
