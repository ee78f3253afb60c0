//! Each test on both databases.
