//! The SDK reads an XML document that breaks off as if its lists ended there. For an inventory
//! that would mean that machines vanish, so half a document is made an error here.

use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

/// Refuses successful answers whose XML document is not closed.
#[derive(Debug)]
pub(super) struct WholeDocument;

/// An answer that breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not a whole XML document")]
struct BrokenOff;

#[dyn_dispatch_hint]
impl Intercept for WholeDocument {
    fn name(&self) -> &'static str {
        "WholeDocument"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let whole = context.response().body().bytes().is_none_or(is_closed);
        if context.output_or_error().is_ok() && !whole { Err(BrokenOff.into()) } else { Ok(()) }
    }
}

/// Whether the document's first element is also the last to end.
fn is_closed(document: &[u8]) -> bool {
    let text = String::from_utf8_lossy(document);
    let text = text.trim_end();
    let root = text.split('<').find(|tag| tag.starts_with(|c: char| c.is_alphabetic()));
    let name = root.and_then(|tag| tag.split(|c: char| c.is_whitespace() || matches!(c, '>' | '/')).next());
    let Some(name) = name.filter(|name| !name.is_empty()) else { return false };
    let end = text.strip_suffix('>').and_then(|rest| rest.rsplit_once("</"));
    let empty = text.ends_with("/>") && root.is_some_and(|tag| text.ends_with(tag));
    empty || end.is_some_and(|(_, last)| last.trim_end() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_root_is_whole() {
        for whole in ["<a/>", "<a></a>", "<?xml version=\"1.0\"?>\n<a x=\"1\"><b/></a>\n", "<a><a></a></a >"]
        {
            assert!(is_closed(whole.as_bytes()), "{whole}");
        }
        for broken in
            ["", "   ", "no", "<a>", "<a><b></b>", "<a><b/>", "<a></", "{}", "<?xml version=\"1.0\"?>"]
        {
            assert!(!is_closed(broken.as_bytes()), "{broken}");
        }
    }
}
