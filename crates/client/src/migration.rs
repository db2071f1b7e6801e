#![doc = include_str!("../MIGRATION.md")]
