//! Lines as OTLP log records.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

use super::super::record::{Record, Severity};
use crate::audit::JournalLine;

/// The instrumentation scope.
const SCOPE: &str = "drawbridge.audit";
/// What our own attributes begin with.
const PREFIX: &str = "drawbridge.";

/// Fields that OpenTelemetry has a name for: ours, and its.
const SEMANTIC: [(&str, &str); 4] = [
    ("user", "user.name"),
    ("groups", "user.roles"),
    ("client_addr", "client.address"),
    ("client_port", "client.port"),
];

/// Lines of one node as one request.
pub(super) fn request(node: &str, lines: &[JournalLine]) -> ExportLogsServiceRequest {
    let resource = Resource {
        attributes: vec![
            pair("service.name", text("drawbridge")),
            pair("service.version", text(env!("CARGO_PKG_VERSION"))),
            pair("service.instance.id", text(node)),
            pair("host.name", text(node)),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let log_records = lines.iter().map(|line| log_record(&Record::of(line))).collect();
    let logs = ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() };
    let resource =
        ResourceLogs { resource: Some(resource), scope_logs: vec![logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }
}

/// The body is the line as it is, so that its hash can be checked wherever it ends up.
fn log_record(record: &Record<'_>) -> LogRecord {
    let time = record.time.and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or_default();
    let (number, severity) = severity(record.severity());
    let mut attributes = vec![
        pair(&format!("{PREFIX}node"), text(&record.node)),
        pair(&format!("{PREFIX}seq"), number_of(record.seq)),
    ];
    attributes.extend(record.fields.iter().map(|(name, value)| {
        let semantic = SEMANTIC.iter().find(|(ours, _)| ours == name);
        pair(&semantic.map_or_else(|| format!("{PREFIX}{name}"), |(_, its)| (*its).to_owned()), any(value))
    }));
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: number.into(),
        severity_text: severity.to_owned(),
        body: Some(text(record.text)),
        attributes,
        event_name: format!("{PREFIX}{}", record.event),
        ..LogRecord::default()
    }
}

fn severity(severity: Severity) -> (SeverityNumber, &'static str) {
    match severity {
        Severity::Info => (SeverityNumber::Info, "INFO"),
        Severity::Notice => (SeverityNumber::Info2, "NOTICE"),
        Severity::Warning => (SeverityNumber::Warn, "WARN"),
        Severity::Error => (SeverityNumber::Error, "ERROR"),
    }
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Any::StringValue(text.to_owned())) }
}

/// OTLP's whole numbers have a sign; what is too large goes as a text.
fn number_of(number: u64) -> AnyValue {
    i64::try_from(number)
        .map_or_else(|_| text(&number.to_string()), |number| AnyValue { value: Some(Any::IntValue(number)) })
}

fn any(value: &Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Any::BoolValue(*flag)),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => return number_of(number),
            (None, Some(number)) => Some(Any::IntValue(number)),
            (None, None) => number.as_f64().map(Any::DoubleValue),
        },
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Array(values) => {
            Some(Any::ArrayValue(ArrayValue { values: values.iter().map(any).collect() }))
        }
        Value::Object(map) => {
            let values = map.iter().map(|(name, value)| pair(name, any(value))).collect();
            Some(Any::KvlistValue(KeyValueList { values }))
        }
    };
    AnyValue { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_a_log_record() {
        let line = JournalLine {
            seq: u64::MAX,
            text: r#"{"v":1,"node":"b1","seq":7,"time":"2026-01-02T03:04:05.678Z","event":"decision","outcome":"refuse","user":"alice","target":{"id":"i-1"},"rules":["a","b"],"n":-1,"f":1.5,"no":null,"yes":true}"#.to_owned(),
        };
        let request = request("b1", std::slice::from_ref(&line));
        let logs = &request.resource_logs[0].scope_logs[0];
        let record = &logs.log_records[0];
        assert_eq!((record.time_unix_nano, record.severity_number), (1_767_323_045_678_000_000, 13));
        assert_eq!(record.event_name, "drawbridge.decision");
        assert_eq!(record.body, Some(text(&line.text)));
        let of =
            |key: &str| record.attributes.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone());
        assert_eq!(of("user.name"), Some(Some(text("alice"))));
        assert_eq!(of("drawbridge.seq"), Some(Some(text("18446744073709551615"))));
        assert_eq!(of("drawbridge.n"), Some(Some(AnyValue { value: Some(Any::IntValue(-1)) })));
        let id = KeyValueList { values: vec![pair("id", text("i-1"))] };
        assert_eq!(of("drawbridge.target"), Some(Some(AnyValue { value: Some(Any::KvlistValue(id)) })));
        assert_eq!(of("drawbridge.no"), Some(Some(AnyValue { value: None })));
    }
}
