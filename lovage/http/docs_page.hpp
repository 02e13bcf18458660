#pragma once

#include <lovage/http/response.hpp>

namespace lovage::http {

// The API's docs page: an HTML document, its style and its script, all embedded. The script reads
// /openapi.json. The page's content security policy allows nothing but this origin.
void set_docs_page(Response& response);
void set_docs_style(Response& response);
void set_docs_script(Response& response);

}  // namespace lovage::http
