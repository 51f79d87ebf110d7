mod by_hand;
mod commit;
mod laws;
mod moved_into;
mod world;
