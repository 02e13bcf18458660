// The worker of the project stack: `project-worker worker -Q project-worker -c 2 -n
// project-worker@%h`.
#include "tasks.hpp"

int main(int argc, char** argv) {
    lovage::App app{"project-worker"};
    project::register_tasks(app);
    return lovage::main(app, argc, argv);
}
