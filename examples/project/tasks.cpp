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
    app.task("ping", ping).queue(kQueue);
    app.task("always-fails", always_fails, arg("message") = "this task always fails").queue(kQueue);
}

}  // namespace project
