//! The pages as a browser gets them, without the browser. What people see and do is in `tests/pages/`.

mod booking;
mod browser;
mod waiting;
