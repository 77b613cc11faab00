//! The integration tests: one binary, a module for each noun, on a real Redis and Postgres.
#![cfg(test)]

mod accounts;
mod advice;
mod attacks;
mod attacks_input;
mod contract_admin;
mod contract_auth;
mod contract_booking;
mod contract_payment;
mod contract_points;
mod contract_queue;
mod crash;
mod database;
mod docs;
mod draw;
mod gate;
mod http_ground;
mod http_ground_contract;
mod http_ground_layer;
mod http_ground_requests;
mod ledger;
mod monitoring;
mod openapi;
mod operators;
mod own_reservations;
mod pages;
mod recovery;
mod redis_docs;
mod room_command;
mod scale;
mod seed;
mod stores;
mod support;
mod tidy;
mod walk;
mod walks;
