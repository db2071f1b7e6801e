//! Checks of a vault from outside: what is wrong, and how to mend it.
