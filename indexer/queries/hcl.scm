; Top-level blocks, named by their kind and labels as other blocks refer to them.
(config_file (body (block (identifier) @name . (string_lit (template_literal) @name)? . (string_lit (template_literal) @name)?) @definition.section))
(config_file (body (attribute (identifier) @name) @definition.property))
(comment) @above
