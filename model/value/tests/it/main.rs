//! Values: the laws that hold of all of them, and tables of single cases.

mod cases;
mod laws;
