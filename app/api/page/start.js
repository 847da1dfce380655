// Swagger UI fills every field of a form with a sample and sends it, and sends empty fields as well: a `url` would go
// along with every file. Here a field without a default begins empty, and an empty field is not sent.
const sendOnlyWhatIsFilledIn = () => ({
  wrapComponents: {
    ParameterIncludeEmpty: () => () => null,
    JsonSchemaForm: (Form, { React }) => (props) => {
      const isFirst = React.useRef(true);
      const isSample = isFirst.current && props.dispatchInitialValue && !props.schema.has("default");
      isFirst.current = false;
      return React.createElement(Form, isSample ? { ...props, value: "" } : props);
    },
  },
});

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  plugins: [sendOnlyWhatIsFilledIn],
  // The default asks a host of the makers about every document.
  validatorUrl: null,
});
