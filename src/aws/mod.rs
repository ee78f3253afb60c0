//! AWS: the only room that names its SDK.
//!
//! [`Ec2Source`] implements the inventory's source, [`InstanceConnect`] the injector, [`Consoles`] reads consoles,
//! [`Survey`] is the diagnosis's surveyor; all are handed clients that [`AwsAccess`] builds once per account and region.
//!
//! What always holds: every call is bounded in time; lists are paged; an answer that is not what
//! was asked for (HTML from a proxy, half a document, silence) is a typed error and never a panic
//! or an empty list; nothing that AWS or something between says reaches a user.
//!
//! Deliberately not here: what names mean, when to refresh, who may do what.

mod access;
mod actions;
mod checkup;
mod console;
mod ec2;
mod fault;
mod images;
mod instance_connect;
mod instances;
mod question;
mod region;
mod survey;
mod whole_document;

pub use access::{AssumeRole, AwsAccess, PlaceClients};
pub use actions::{IAM_ACTIONS, IamAction, Needed, Scope, iam_action};
pub use checkup::AwsCheckup;
pub use console::Consoles;
pub use ec2::Ec2Source;
pub use instance_connect::{InstanceConnect, InstanceConnectSettings};
pub use instances::PortRule;
pub use survey::{Survey, SurveySettings};

#[cfg(test)]
mod testing;
