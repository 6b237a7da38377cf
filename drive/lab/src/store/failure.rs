//! Errors as clients of the protocol know them.

use std::io::ErrorKind;

use hyper::StatusCode;

/// Why a request is refused: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

pub(super) type Answer<T> = Result<T, Refusal>;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $status:ident $code:literal)*) => {
        impl Refusal {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Refusal {
                Refusal { status: StatusCode::$status, code: $code, message: message.into() }
            })*
        }
    };
}

refusals! {
    access_denied FORBIDDEN "AccessDenied"
    unknown_key FORBIDDEN "InvalidAccessKeyId"
    wrong_signature FORBIDDEN "SignatureDoesNotMatch"
    clock FORBIDDEN "RequestTimeTooSkewed"
    no_bucket NOT_FOUND "NoSuchBucket"
    no_key NOT_FOUND "NoSuchKey"
    no_version NOT_FOUND "NoSuchVersion"
    no_upload NOT_FOUND "NoSuchUpload"
    method METHOD_NOT_ALLOWED "MethodNotAllowed"
    argument BAD_REQUEST "InvalidArgument"
    no_access_lists BAD_REQUEST "AccessControlListNotSupported"
    tag BAD_REQUEST "InvalidTag"
    request BAD_REQUEST "InvalidRequest"
    xml BAD_REQUEST "MalformedXML"
    key_too_long BAD_REQUEST "KeyTooLongError"
    metadata_too_large BAD_REQUEST "MetadataTooLarge"
    too_large BAD_REQUEST "EntityTooLarge"
    part_too_small BAD_REQUEST "EntityTooSmall"
    part BAD_REQUEST "InvalidPart"
    part_order BAD_REQUEST "InvalidPartOrder"
    digest BAD_REQUEST "BadDigest"
    payload BAD_REQUEST "XAmzContentSHA256Mismatch"
    incomplete BAD_REQUEST "IncompleteBody"
    length LENGTH_REQUIRED "MissingContentLength"
    precondition PRECONDITION_FAILED "PreconditionFailed"
    range RANGE_NOT_SATISFIABLE "InvalidRange"
    yours_already CONFLICT "BucketAlreadyOwnedByYou"
    internal INTERNAL_SERVER_ERROR "InternalError"
    /// No code of the protocol's own: there no disk is ever full. Clients do not try this status again.
    full INSUFFICIENT_STORAGE "InsufficientStorage"
    /// It was begun while the bucket was here. Clients try again.
    moved SERVICE_UNAVAILABLE "ServiceUnavailable"
    not_implemented NOT_IMPLEMENTED "NotImplemented"
    /// A setting of a bucket or an object that was never made, under the code that its clients look for.
    no_setting NOT_FOUND "NoSuchConfiguration"
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Refusal {
        eprintln!("a request failed: {error}");
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Refusal::full("The disk that the bucket is on is full.")
            }
            _ => Refusal::internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_to_be_full() {
        let of = |number: i32| Refusal::from(std::io::Error::from_raw_os_error(number)).code;
        assert_eq!(
            [libc::ENOSPC, libc::EDQUOT, libc::EIO].map(of),
            ["InsufficientStorage", "InsufficientStorage", "InternalError"]
        );
    }
}
