//! Machine images: `DescribeImages`.

use super::describe::Described;
use super::select::Filter;
use super::world::Image;
use super::xml::Xml;

impl Described for &Image {
    const SET: &'static str = "imagesSet";
    const IDS: &'static str = "ImageId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidAMIID.NotFound", "image ID");
    const PAGES_WITH_IDS: bool = false;

    fn id(&self) -> &str {
        &self.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "image-id" => filter.fits(&self.id),
            "name" => filter.fits(&self.name),
            "owner-alias" => filter.fits(&self.owner_alias),
            "platform" => filter.fits(&self.platform),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("imageId", &self.id);
        xml.text("name", &self.name);
        if !self.owner_alias.is_empty() {
            xml.text("imageOwnerAlias", &self.owner_alias);
        }
        xml.text("imageState", "available");
        write_platform(xml, &self.platform);
    }
}

/// Only Windows is named; everything else is told apart by the details.
pub(super) fn write_platform(xml: &mut Xml, platform: &str) {
    if platform.is_empty() {
        xml.text("platformDetails", "Linux/UNIX");
    } else {
        xml.text("platform", platform);
        xml.text("platformDetails", "Windows");
    }
}
