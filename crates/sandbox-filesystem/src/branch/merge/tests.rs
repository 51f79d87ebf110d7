mod by_hand;
mod commit;
mod laws;
mod world;
