; Elements that can be linked to, and headings.
((element (start_tag (attribute (attribute_name) @key (quoted_attribute_value (attribute_value) @name)))) @definition.section
  (#one-of? @key "id"))
((element (start_tag (tag_name) @tag) . (text) @name) @definition.section
  (#one-of? @tag "h1" "h2" "h3" "h4" "h5" "h6" "title"))
(comment) @above
