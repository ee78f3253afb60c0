//! Which port sshd listens on.

use std::collections::BTreeMap;

/// The port in the tag named `port_tag`, else `port_default`.
///
/// # Errors
/// When the tag is there and is no port; the message is for the operator, and the caller goes on
/// with the default.
pub fn port_from_tags(
    tags: &BTreeMap<String, String>,
    port_tag: &str,
    port_default: u16,
) -> Result<u16, String> {
    let Some(text) = tags.get(port_tag) else { return Ok(port_default) };
    match text.trim().parse::<u16>() {
        Ok(port) if port != 0 => Ok(port),
        Ok(_) | Err(_) => Err(format!(
            "the tag {port_tag} has the value {text:?}, which is not a port between 1 and 65535; using {port_default}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("drawbridge:port".to_owned(), value.to_owned())])
    }

    #[test]
    fn a_tag_names_the_port_and_a_bad_one_is_reported() {
        assert_eq!(port_from_tags(&BTreeMap::new(), "drawbridge:port", 22), Ok(22));
        assert_eq!(port_from_tags(&tagged(" 2222 "), "drawbridge:port", 22), Ok(2222));
        for bad in ["0", "65536", "ssh", "", "-1"] {
            let complaint = port_from_tags(&tagged(bad), "drawbridge:port", 22).unwrap_err();
            assert!(complaint.contains("using 22"), "{complaint}");
        }
    }
}
