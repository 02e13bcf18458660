// Prints a page of this folder: `./dev docs` writes them all.
#include <lovage/cli/reference.hpp>

#include <iostream>
#include <string_view>

int main(int argc, char** argv) {
    const std::string_view page = argc == 2 ? argv[1] : "";
    if (page == "settings") {
        std::cout << lovage::cli::settings_reference();
    } else if (page == "cli") {
        std::cout << lovage::cli::cli_reference();
    } else {
        std::cerr << "usage: print-reference settings|cli\n";
        return 2;
    }
    return 0;
}
