//! The facts of a question in Cedar's terms; the code that must agree with `config/schema.cedarschema`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use jiff::Timestamp;

use crate::domain::{Action, ActionKind, Destination, Identity, Login, Target};

/// The schema that every policy is validated against.
pub const SCHEMA_TEXT: &str = include_str!("../../config/schema.cedarschema");

/// The id of the record in policies.
const RECORD: &str = "record";

/// A question could not be put to Cedar. Such a question is refused.
#[derive(Debug, thiserror::Error)]
#[error("the facts could not be put to Cedar: {0}")]
pub(super) struct FactsError(String);

impl FactsError {
    /// Never in practice: some name can always stand for any login.
    pub(super) fn no_login() -> Self {
        Self("there is no login to ask about".to_owned())
    }

    fn new(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// The schema and the names it declares, parsed once.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) schema: Schema,
    actions: Entities,
    user: EntityTypeName,
    group: EntityTypeName,
    instance: EntityTypeName,
    address: EntityTypeName,
    record: EntityTypeName,
    action: EntityTypeName,
}

impl Vocabulary {
    pub(super) fn embedded() -> Result<Self, FactsError> {
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA_TEXT).map_err(FactsError::new)?;
        let name = |text: &str| text.parse::<EntityTypeName>().map_err(FactsError::new);
        Ok(Self {
            actions: schema.action_entities().map_err(FactsError::new)?,
            user: name("User")?,
            group: name("Group")?,
            instance: name("Instance")?,
            address: name("PrivateAddress")?,
            record: name("Record")?,
            action: name("Action")?,
            schema,
        })
    }

    fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
    }

    /// The action of a kind.
    pub(super) fn action_uid(&self, kind: ActionKind) -> EntityUid {
        Self::uid(&self.action, kind.name())
    }

    /// Whether an entity is that action, or a group of actions that it is in.
    pub(super) fn takes_in(&self, entity: &EntityUid, kind: ActionKind) -> bool {
        let action = self.action_uid(kind);
        *entity == action || self.actions.is_ancestor_of(entity, &action)
    }

    /// Whether an entity is a user of the users file.
    pub(super) fn is_user(&self, entity: &EntityUid) -> bool {
        self.is_user_type(entity.type_name())
    }

    /// Whether entities of a type are users of the users file.
    pub(super) fn is_user_type(&self, of_type: &EntityTypeName) -> bool {
        *of_type == self.user
    }

    /// Whether an entity is an instance.
    pub(super) fn is_instance(&self, entity: &EntityUid) -> bool {
        self.is_instance_type(entity.type_name())
    }

    /// Whether entities of a type are instances.
    pub(super) fn is_instance_type(&self, of_type: &EntityTypeName) -> bool {
        *of_type == self.instance
    }

    /// Whether an entity is a group of the users file.
    pub(super) fn is_group(&self, entity: &EntityUid) -> bool {
        *entity.type_name() == self.group
    }
}

/// One person and one machine, ready for any number of questions about logins, actions and instants.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    vocabulary: &'a Vocabulary,
    identity: &'a Identity,
    principal: EntityUid,
    resource: EntityUid,
    pub(super) entities: Entities,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        vocabulary: &'a Vocabulary,
        identity: &'a Identity,
        target: &Target,
    ) -> Result<Self, FactsError> {
        let resource = Vocabulary::uid(&vocabulary.instance, target.id.as_str());
        let entity = instance(resource.clone(), target)?;
        Self::about(vocabulary, identity, resource, entity)
    }

    /// One person and one place that the bastion may connect to.
    pub(super) fn of_destination(
        vocabulary: &'a Vocabulary,
        identity: &'a Identity,
        destination: &Destination,
    ) -> Result<Self, FactsError> {
        if let Some(target) = &destination.instance {
            return Self::new(vocabulary, identity, target);
        }
        let id = destination.address.to_canonical().to_string();
        let resource = Vocabulary::uid(&vocabulary.address, &id);
        let entity = no_instance(resource.clone(), &id, destination.address)?;
        Self::about(vocabulary, identity, resource, entity)
    }

    /// One person and the record.
    pub(super) fn of_record(vocabulary: &'a Vocabulary, identity: &'a Identity) -> Result<Self, FactsError> {
        let resource = Vocabulary::uid(&vocabulary.record, RECORD);
        let entity = no_instance(resource.clone(), RECORD, Ipv4Addr::UNSPECIFIED.into())?;
        Self::about(vocabulary, identity, resource, entity)
    }

    fn about(
        vocabulary: &'a Vocabulary,
        identity: &'a Identity,
        resource: EntityUid,
        entity: Entity,
    ) -> Result<Self, FactsError> {
        let principal = Vocabulary::uid(&vocabulary.user, identity.user.as_str());
        let groups: HashSet<EntityUid> =
            identity.groups.iter().map(|group| Vocabulary::uid(&vocabulary.group, group)).collect();
        let mut entities: Vec<Entity> = groups.iter().cloned().map(Entity::with_uid).collect();
        entities.push(user(principal.clone(), identity, groups)?);
        entities.push(entity);
        let entities = vocabulary.actions.clone().add_entities(entities, None).map_err(FactsError::new)?;
        Ok(Self { vocabulary, identity, principal, resource, entities })
    }

    /// The request for one login, action and instant.
    pub(super) fn request(
        &self,
        login: &Login,
        action: &Action,
        now: Timestamp,
    ) -> Result<Request, FactsError> {
        let uid = self.vocabulary.action_uid(action.kind());
        let context = context(self.identity, login, action, now)?;
        Request::new(self.principal.clone(), uid, self.resource.clone(), context, None)
            .map_err(FactsError::new)
    }

    /// The request to read the record.
    pub(super) fn audit_request(&self, now: Timestamp) -> Result<Request, FactsError> {
        let uid = self.vocabulary.action_uid(ActionKind::Audit);
        let context = Context::from_pairs(common("", self.identity, now)).map_err(FactsError::new)?;
        Request::new(self.principal.clone(), uid, self.resource.clone(), context, None)
            .map_err(FactsError::new)
    }

    /// The request to have the bastion connect.
    pub(super) fn connect_request(
        &self,
        destination: &Destination,
        now: Timestamp,
    ) -> Result<Request, FactsError> {
        let uid = self.vocabulary.action_uid(ActionKind::Connect);
        let context = destination_context(self.identity, destination, now)?;
        Request::new(self.principal.clone(), uid, self.resource.clone(), context, None)
            .map_err(FactsError::new)
    }
}

fn user(uid: EntityUid, identity: &Identity, groups: HashSet<EntityUid>) -> Result<Entity, FactsError> {
    let names = RestrictedExpression::new_set(identity.groups.iter().map(|group| string(group)));
    let attributes = [pair("name", string(identity.user.as_str())), pair("groups", names)];
    Entity::new_with_tags(uid, attributes, groups, []).map_err(FactsError::new)
}

fn instance(uid: EntityUid, target: &Target) -> Result<Entity, FactsError> {
    let mut attributes = vec![
        pair("id", string(target.id.as_str())),
        pair("account", string(&target.account)),
        pair("account_alias", string(&target.account_alias)),
        pair("region", string(&target.region)),
        pair("availability_zone", string(&target.availability_zone)),
        pair("vpc", string(&target.vpc)),
        pair("subnet", string(&target.subnet)),
        pair("image", string(&target.image)),
        pair("platform", string(&target.platform)),
        pair("state", string(&target.state)),
        pair("private_ip", ip(target.private_ip)),
    ];
    attributes.extend(target.name.as_deref().map(|name| pair("name", string(name))));
    attributes.extend(target.image_name.as_deref().map(|name| pair("image_name", string(name))));
    let tags = target.tags.iter().map(|(key, value)| pair(key, string(value)));
    Entity::new_with_tags(uid, attributes, [], tags).map_err(FactsError::new)
}

fn context(
    identity: &Identity,
    login: &Login,
    action: &Action,
    now: Timestamp,
) -> Result<Context, FactsError> {
    let mut pairs = common(login.as_str(), identity, now).to_vec();
    match action {
        Action::Exec { command } => pairs.push(pair("command", string(command))),
        Action::Subsystem { name } => pairs.push(pair("subsystem", string(name))),
        Action::LocalForward { host, port } => pairs.push(pair("destination", endpoint(host, *port)?)),
        Action::RemoteForward { host, port } => pairs.push(pair("listen", endpoint(host, *port)?)),
        Action::LocalSocket { path } | Action::RemoteSocket { path } => {
            pairs.push(pair("path", string(path)));
        }
        Action::Shell
        | Action::Sftp
        | Action::Tunnel
        | Action::Agent
        | Action::X11
        | Action::Watch
        | Action::Kill
        | Action::Diagnose => {}
    }
    Context::from_pairs(pairs).map_err(FactsError::new)
}

fn endpoint(host: &str, port: u16) -> Result<RestrictedExpression, FactsError> {
    RestrictedExpression::new_record([pair("host", string(host)), pair("port", number(port))])
        .map_err(FactsError::new)
}

fn number(number: u16) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::from(number))
}

fn destination_context(
    identity: &Identity,
    destination: &Destination,
    now: Timestamp,
) -> Result<Context, FactsError> {
    let place = RestrictedExpression::new_record([
        pair("host", string(&destination.host)),
        pair("ip", ip(destination.address)),
        pair("port", number(destination.port)),
    ]);
    let place = pair("destination", place.map_err(FactsError::new)?);
    Context::from_pairs(common("", identity, now).into_iter().chain([place])).map_err(FactsError::new)
}

/// What the context of every request says.
fn common(login: &str, identity: &Identity, now: Timestamp) -> [(String, RestrictedExpression); 4] {
    [
        pair("login", string(login)),
        pair("client_addr", ip(identity.client_addr)),
        pair("auth_method", string(identity.auth.name())),
        pair("time", instant(now)),
    ]
}

/// What is no instance has an instance's attributes all the same, and they are empty: a rule about
/// regions or accounts is valid for every resource, and does not hold for this one.
fn no_instance(uid: EntityUid, id: &str, address: IpAddr) -> Result<Entity, FactsError> {
    let mut attributes = vec![pair("id", string(id)), pair("private_ip", ip(address))];
    let empty = [
        "account",
        "account_alias",
        "region",
        "availability_zone",
        "vpc",
        "subnet",
        "image",
        "platform",
        "state",
    ];
    attributes.extend(empty.map(|name| pair(name, string(""))));
    Entity::new_with_tags(uid, attributes, [], []).map_err(FactsError::new)
}

fn pair(key: &str, value: RestrictedExpression) -> (String, RestrictedExpression) {
    (key.to_owned(), value)
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// An IPv4 client of a dual-stack listener arrives as `::ffff:a.b.c.d`; rules about `10.0.0.0/8` mean it too.
fn ip(address: IpAddr) -> RestrictedExpression {
    RestrictedExpression::new_ip(address.to_canonical().to_string())
}

/// Whether Cedar can hold this instant. Where it cannot, everything is refused.
pub(super) fn can_tell(now: Timestamp) -> bool {
    Context::from_pairs([pair("time", instant(now))]).is_ok()
}

fn instant(now: Timestamp) -> RestrictedExpression {
    RestrictedExpression::new_datetime(now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// A port that no rule is likely to single out.
pub(super) const ANY_PORT: u16 = 50_505;

/// One action of each kind, with nothing particular in it; nothing for `connect` and `audit`, which are about no login.
pub(super) fn plain_action(kind: ActionKind) -> Option<Action> {
    Some(match kind {
        ActionKind::Shell => Action::Shell,
        ActionKind::Exec => Action::Exec { command: String::new() },
        ActionKind::Sftp => Action::Sftp,
        ActionKind::Subsystem => Action::Subsystem { name: String::new() },
        ActionKind::Tunnel => Action::Tunnel,
        ActionKind::LocalForward => Action::LocalForward { host: String::new(), port: ANY_PORT },
        ActionKind::RemoteForward => Action::RemoteForward { host: String::new(), port: ANY_PORT },
        ActionKind::LocalSocket => Action::LocalSocket { path: String::new() },
        ActionKind::RemoteSocket => Action::RemoteSocket { path: String::new() },
        ActionKind::Agent => Action::Agent,
        ActionKind::X11 => Action::X11,
        ActionKind::Watch => Action::Watch,
        ActionKind::Kill => Action::Kill,
        ActionKind::Diagnose => Action::Diagnose,
        ActionKind::Connect | ActionKind::Audit => return None,
    })
}
