//! Detached OpenPGP signatures (RFC 9580).

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey};
use pgp::packet::SignatureType;
use pgp::types::KeyDetails;

/// Which of these armored keys, or of the keys that they speak for, has signed a content: its id. A key that was
/// revoked counts for nothing; one that is past its time does, as what it signed in its time stays signed.
pub(crate) fn signer(content: &[u8], signature: &[u8], keys: &[String]) -> Result<String, String> {
    let signature = DetachedSignature::from_reader_single_buf(signature);
    let (signature, _) = signature.map_err(|error| format!("the signature is not understood: {error}"))?;
    if signature.signature.typ() != Some(SignatureType::Binary) {
        return Err("the signature is not one of a file".to_owned());
    }
    let mut read = Vec::new();
    for key in keys {
        let Ok((several, _)) = SignedPublicKey::from_armor_many(key.as_bytes()) else { continue };
        read.extend(several.flatten());
    }
    if read.is_empty() {
        return Err("the registry names no key that is understood".to_owned());
    }
    for key in read.iter().filter(|key| !is_revoked(key)) {
        if signature.verify(&key.primary_key, content).is_ok() {
            return Ok(id(&key.primary_key));
        }
        for sub in &key.public_subkeys {
            let may_sign = sub.signatures.iter().any(|it| it.key_flags().sign());
            let revoked = sub.signatures.iter().any(|it| it.typ() == Some(SignatureType::SubkeyRevocation));
            if may_sign
                && !revoked
                && sub.verify_bindings(&key.primary_key).is_ok()
                && signature.verify(&sub.key, content).is_ok()
            {
                return Ok(id(&sub.key));
            }
        }
    }
    Err("none of its keys has made the signature".to_owned())
}

fn is_revoked(key: &SignedPublicKey) -> bool {
    key.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(&key.primary_key).is_ok())
}

/// The last 16 digits of a key's fingerprint, by which people know it.
fn id(key: &impl KeyDetails) -> String {
    key.legacy_key_id().to_string().to_uppercase()
}
