//! What the describing actions have in common: numbered parameters, filters and pages.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The fewest and the most results that may be asked for in one page (EC2 API reference).
const PAGE: RangeInclusive<usize> = 5..=1000;

/// An error as EC2's Query API words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueryError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl QueryError {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into() }
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// The form's parameters.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, String>);

/// One `Filter.N`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) name: String,
    values: Vec<String>,
}

impl Query {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What is asked for.
    pub(super) fn action(&self) -> &str {
        self.get("Action").unwrap_or_default()
    }

    /// `PREFIX.1`, `PREFIX.2`, … up to the first that is absent.
    pub(super) fn list(&self, prefix: &str) -> Vec<String> {
        (1..).map_while(|number| self.0.get(&format!("{prefix}.{number}")).cloned()).collect()
    }

    /// `Filter.N.Name` with its `Filter.N.Value.M`.
    pub(super) fn filters(&self) -> Vec<Filter> {
        let filter = |number: u32| {
            let name = self.0.get(&format!("Filter.{number}.Name"))?.clone();
            Some(Filter { name, values: self.list(&format!("Filter.{number}.Value")) })
        };
        (1..).map_while(filter).collect()
    }

    /// One page of `all`, and the token of the next.
    ///
    /// # Errors
    /// For a page size out of range, for one beside a list of ids (`ids_given`), and for a
    /// token that no page handed out.
    pub(super) fn page<T>(
        &self,
        all: Vec<T>,
        ids_given: bool,
    ) -> Result<(Vec<T>, Option<String>), QueryError> {
        if ids_given && self.get("MaxResults").is_some() {
            let message = "The parameter instancesSet cannot be used with the parameter maxResults";
            return Err(QueryError::new("InvalidParameterCombination", message));
        }
        self.page_of(all, &PAGE)
    }

    /// One page of `all`, whose size is in `sizes`, and the token of the next.
    ///
    /// # Errors
    /// As for [`Query::page`].
    pub(super) fn page_of<T>(
        &self,
        all: Vec<T>,
        sizes: &RangeInclusive<usize>,
    ) -> Result<(Vec<T>, Option<String>), QueryError> {
        let size = match self.get("MaxResults").map(str::parse::<usize>) {
            None => *sizes.end(),
            Some(Ok(size)) if sizes.contains(&size) => size,
            Some(_) => {
                let message =
                    format!("MaxResults must be a number from {} to {}", sizes.start(), sizes.end());
                return Err(QueryError::new("InvalidParameterValue", message));
            }
        };
        let start = self.get("NextToken").map_or(Ok(0), decode_token)?;
        let end = start.saturating_add(size);
        let next = (end < all.len()).then(|| encode_token(end));
        Ok((all.into_iter().skip(start).take(size).collect(), next))
    }
}

impl Filter {
    /// Whether any of the filter's values fits; `*` and `?` are wildcards as in EC2.
    pub(super) fn fits(&self, actual: &str) -> bool {
        self.values.iter().any(|pattern| glob(pattern.as_bytes(), actual.as_bytes()))
    }

    pub(super) fn unknown(&self) -> QueryError {
        QueryError::new("InvalidParameterValue", format!("The filter '{}' is invalid", self.name))
    }
}

/// Whether text fits a pattern of literals, `*` and `?`.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on when what follows the latest `*` does not fit: let it swallow one more byte.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            (Some((wanted, rest)), Some((found, left))) if *wanted == b'?' || wanted == found => {
                (pattern, text) = (rest, left);
            }
            (None, None) => return true,
            (_, _) => match retry.and_then(|(rest, left)| Some((rest, left.get(1..)?))) {
                Some((rest, left)) => {
                    retry = Some((rest, left));
                    (pattern, text) = (rest, left);
                }
                None => return false,
            },
        }
    }
}

fn encode_token(offset: usize) -> String {
    data_encoding::BASE64.encode(format!("page:{offset}").as_bytes())
}

fn decode_token(token: &str) -> Result<usize, QueryError> {
    let decoded = data_encoding::BASE64.decode(token.as_bytes()).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let offset = text.and_then(|text| text.strip_prefix("page:")?.parse().ok());
    offset.ok_or_else(|| QueryError::new("InvalidNextToken", "The specified NextToken is not valid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn wildcards_fit_as_in_ec2() {
        for (pattern, text, fits) in [
            ("web-*", "web-1", true),
            ("web-?", "web-12", false),
            ("*", "", true),
            ("a*b*c", "aXXbYc", true),
            ("a*b", "abc", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let (first, token) = query(&[("MaxResults", "5")]).page((0..7).collect(), false).expect("a page");
        assert_eq!(first, [0, 1, 2, 3, 4]);
        let token = token.expect("a token");
        let (second, token) = query(&[("MaxResults", "5"), ("NextToken", &token)])
            .page((0..7).collect(), false)
            .expect("a page");
        assert_eq!((second, token), (vec![5, 6], None));
    }

    #[test]
    fn wrong_pages_are_refused_with_ec2s_codes() {
        let code = |pairs, ids| query(pairs).page(vec![0; 9], ids).map_err(|error| error.code);
        assert_eq!(code(&[("MaxResults", "4")], false), Err("InvalidParameterValue".to_owned()));
        assert_eq!(code(&[("MaxResults", "many")], false), Err("InvalidParameterValue".to_owned()));
        assert_eq!(code(&[("MaxResults", "5")], true), Err("InvalidParameterCombination".to_owned()));
        assert_eq!(code(&[("NextToken", "x")], false), Err("InvalidNextToken".to_owned()));
    }

    #[test]
    fn filters_and_lists_are_read_by_number() {
        let query = query(&[
            ("Filter.1.Name", "tag:team"),
            ("Filter.1.Value.1", "a"),
            ("Filter.1.Value.2", "b"),
            ("Filter.2.Name", "vpc-id"),
            ("Filter.2.Value.1", "v"),
            ("InstanceId.1", "i-1"),
        ]);
        let names: Vec<_> =
            query.filters().into_iter().map(|filter| (filter.name, filter.values.len())).collect();
        assert_eq!(names, [("tag:team".to_owned(), 2), ("vpc-id".to_owned(), 1)]);
        assert_eq!(query.list("InstanceId"), ["i-1"]);
    }
}
