#include "tasks.hpp"

#include <lovage/core/convert_cpp_int.hpp>

#include <numeric>
#include <stdexcept>
#include <string>

namespace project {

namespace {

using lovage::arg;

Integer integer_multiplication(const Integer& integer, const Integer& multiply_by) {
    return integer * multiply_by;
}

Integer integers_sum(const std::vector<Integer>& integers) {
    return std::accumulate(integers.begin(), integers.end(), Integer{0});
}

/// A task without arguments.
std::string ping() {
    return "pong";
}

/// A task that always fails: its caller sees a Python ValueError.
void always_fails(const std::string& message) {
    throw std::invalid_argument{message};
}

}  // namespace

void register_tasks(lovage::App& app) {
    app.task("integer-multiplication", integer_multiplication, arg("integer"),
             arg("multiply_by") = 2)
        .queue(kQueue);
    app.task("integers-sum", integers_sum, arg("integers")).queue(kQueue);
    auto ping_task = app.task("ping", ping).queue(kQueue);
    app.task("always-fails", always_fails, arg("message") = "this task always fails").queue(kQueue);

    // For `beat` and `worker -B`. Nobody waits for these: none is kept, and those that no worker
    // took within the period are worth nothing.
    lovage::beat_schedule(app).add("sign-of-life", lovage::every(kSignOfLife), ping_task, {},
                                   {.expires = kSignOfLife, .ignore_result = true});
}

}  // namespace project
