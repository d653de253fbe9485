//! The program `standin-edgecore`.

fn main() {
    edgelay_standins::edgecore::main();
}
