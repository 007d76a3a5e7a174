//! Behaviour of the binaries and the library against the embedded endpoint on loopback.
//!
//! Each test has a world of its own: endpoint, queues, pool, table.

mod api;
mod attach;
mod chaos;
mod check;
mod commands;
mod console;
mod costs;
mod damaged_responses;
mod dead_letters;
mod dev;
mod endpoint;
mod events;
mod faults;
mod hosts;
mod http;
mod invite;
mod kills;
mod large_pool;
mod layout;
mod load;
mod outage;
mod outputs;
mod path;
mod poison;
mod policies;
mod privacy;
mod process;
mod quota;
mod reconcile;
mod region;
mod sends;
mod sign_in;
mod status;
mod stop;
mod template;
mod traces;
mod trigger;
mod trigger_settings;
mod users_forget;
mod users_show;
mod without_sign_up;
mod world;
